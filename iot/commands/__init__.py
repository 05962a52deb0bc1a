"""Commands to a machine's immobiliser: two people sign, the device checks, every step is recorded.

`request` drafts one for an alert, `signing` puts people's names under it, `gate` decides at the
device, `record` keeps what happened.
"""
