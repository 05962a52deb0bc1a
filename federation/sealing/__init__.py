"""Messages between two parties, sealed end to end: who carries them sees sizes and addresses.

A Noise KK handshake under both parties' pinned keys (`noise`) makes fresh keys for every session
and pair; messages are cut to pieces and sealed one by one (`channel`); `machine` puts that around a
party's protocol, so that every driver moves sealed frames only.
"""

from federation.sealing.machine import SealedMachine

__all__ = ["SealedMachine"]
