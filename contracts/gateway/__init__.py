"""The typed way to the contracts: amounts as int, times as datetime, refusals by name.

`gateway.Gateway.open` is the way in. Importing this package imports no web3; its modules do.
"""
