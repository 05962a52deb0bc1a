"""What a broken or refused stream means, in one sentence; what others may read of an error."""

from __future__ import annotations

import grpc

from federation.errors import InputError, VeilscoreError
from federation.session.relay_messages import MAX_MESSAGE_BYTES, one_line

_REFUSED = (
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.UNIMPLEMENTED,
)


def what_happened(error: grpc.RpcError, address: str, admitted: bool) -> str:
    """Why a stream to the relay ended.

    Args:
        error: what gRPC raised.
        address: the relay's host and port.
        admitted: whether the relay had let this party in.
    """
    relay = f"the relay at {address}"
    if not isinstance(error, grpc.Call):
        return f"{relay} ended the stream: {type(error).__name__}"
    details = one_line(error.details() or "no reason given", 500)
    if error.code() in _REFUSED:
        return f"{relay} refused this party: {details}"
    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return (
            f"a message of more than {MAX_MESSAGE_BYTES} bytes went to or came from {relay}, which "
            f"carries none so long ({details})"
        )
    if admitted:
        return f"the stream to {relay} broke: {details}; check the network and the coordinator"
    if "Handshake read failed" in details:
        return (
            f"what answers at {address} closed the connection before TLS was agreed: it is "
            "another program, or too many connections are open at the relay; check the address, "
            "then start again"
        )
    if "CERTIFICATE_VERIFY_FAILED" in details or "handshake failed" in details:
        return (
            f"what answers at {address} is not this session's relay: its certificate is not the "
            "one that the coordinator named; check that the address is of this run and that "
            f"nobody sits in between ({details})"
        )
    if _hung_up(details):
        # TLS 1.3: the client's own handshake is over before the relay judges its certificate.
        return (
            f"{relay} hung up on this party's certificate: the party's key is not the one that "
            "the coordinator has pinned for it, or its clock is wrong, or the address is another "
            "run's; compare the key's fingerprint with the coordinator's"
        )
    return f"{relay} is not to be reached: {details}"


def _hung_up(details: str) -> bool:
    signs = ("Socket closed", "Connection reset", "Broken pipe", "recvmsg", "GOAWAY", "EOF")
    return "Connection refused" not in details and any(sign in details for sign in signs)


def told(error: Exception, tell_inputs: bool) -> str:
    """What other parties may read of an error.

    What an unexpected exception says may hold data: only its type leaves.
    """
    if not isinstance(error, VeilscoreError):
        return f"an internal error ({type(error).__name__}); its own log says more"
    if isinstance(error, InputError) and not tell_inputs:
        return "its own input is not in order; its log says what and where"
    return str(error)
