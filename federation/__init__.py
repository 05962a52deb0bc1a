"""The kernel: schema, cryptography, privacy, algorithms, metrics, report and wire format.

Nothing here opens a socket, reads a file or parses a configuration, and nothing here knows
Flower, a chain, a broker or a database. Federated algorithms are pure state machines
(`federation.session`): they are given messages and give back messages.
"""
