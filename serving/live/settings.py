"""What a live session may take, and how it ends: close codes of RFC 6455 and of IANA's registry."""

from dataclasses import dataclass

from media.user_error import UserError

DONE = 1000
UNSUPPORTED = 1003  # another rate, format or model
BAD_DATA = 1007  # no JSON, an empty or torn packet, numbers that are not finite
NOT_ALLOWED = 1008  # the operator's rules: no key, no mark, longer than a session may last
TOO_LARGE = 1009  # a packet or picture
FAULT = 1011  # the server's own; its log says what
FULL = 1013  # try again later
TIMED_OUT = 3008


class LiveError(UserError):
    """Why a session ends before its time; `code` closes the socket, the message is its reason."""

    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class LiveSettings:
    """What one session may take, and how many there are.

    Attributes:
        sessions: at a time, of all clients.
        per_client: of one client.
        longest: seconds of video of a session.
        packet_seconds: of sound in one message.
        start_seconds: from the connection to `session.start`.
        quiet_seconds: without sound, where no idle motion was asked for, and of a pause.
        send_seconds: for the client to take a message.
        ahead_seconds: how far the video may run ahead of the clock, where its sound came at once.
        late_seconds: how long the video waits for sound that is late before it goes on in silence.
        upload_bytes: of a picture or a whole sound; with base64's third more it must fit into one message, of which uvicorn takes 16 MiB.
        rtc_address: of this machine, that media of WebRTC is sent from; "" takes the one that the client's request reached.
        ice_servers: URLs of STUN and TURN servers (RFC 7064, RFC 7065), one of each; none are asked where none are named.
        turn_login: name and password at the TURN server.
        keep_seconds, keep_videos, keep_bytes: of finished videos, how long, how many, and how large together; the oldest go first.
    """

    sessions: int = 4
    per_client: int = 2
    longest: float = 600.0
    packet_seconds: float = 0.2
    start_seconds: float = 10.0
    quiet_seconds: float = 30.0
    send_seconds: float = 10.0
    ahead_seconds: float = 2.0
    late_seconds: float = 0.1
    upload_bytes: int = 11 * 1024**2
    rtc_address: str = ""
    ice_servers: tuple[str, ...] = ()
    turn_login: tuple[str, str] | None = None
    keep_seconds: float = 24 * 3600.0
    keep_videos: int = 200
    keep_bytes: int = 2 * 1024**3
