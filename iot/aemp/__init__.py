"""ISO/TS 15143-3 (AEMP 2.0): readings pulled from a maker's server, so a fleet needs no new device.

`fleet_xml` and `fleet_json` read an answer, `samples` makes samples of it, `client` fetches it.
"""
