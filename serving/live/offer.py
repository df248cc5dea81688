"""What a client posts to begin a session over WebRTC: an SDP offer, alone (RFC 9725) or with what the session shall be."""

import ipaddress
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from serving.live.messages import Start, read_json, read_start
from serving.live.settings import BAD_DATA, TOO_LARGE, UNSUPPORTED, LiveError, LiveSettings

SDP_BYTES = 64 * 1024
SDP, JSON = "application/sdp", "application/json"
SENDS, TAKES = ("sendrecv", "sendonly"), ("sendrecv", "recvonly")


@dataclass(frozen=True)
class Offer:
    """An offer that can be answered.

    Attributes:
        sdp: without what the server is not to read.
        start: None where `session.start` is the first message of the data channel.
    """

    sdp: str
    start: Start | None


async def read_offer(request: Request, settings: LiveSettings) -> Offer:
    """The body of a request.

    Raises:
        LiveError: another type, a body or SDP that is too large, and as `read_start` and `checked`.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (SDP, JSON):
        raise LiveError(UNSUPPORTED, f"send an SDP offer as {SDP}, or as `sdp` in {JSON}, not {kind or 'nothing'}")
    most = SDP_BYTES if kind == SDP else 4 * settings.upload_bytes // 3 + 2 * SDP_BYTES
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise LiveError(TOO_LARGE, f"the offer is larger than {most} bytes")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise LiveError(BAD_DATA, f"the offer is no UTF-8 ({error.reason})") from error
    if kind == SDP:
        return Offer(checked(text, settings), None)
    said = read_json(text)
    sdp = said.pop("sdp", None)
    if not isinstance(sdp, str):
        raise LiveError(BAD_DATA, "sdp is the text of an SDP offer")
    if len(sdp) > SDP_BYTES:
        raise LiveError(TOO_LARGE, f"sdp is larger than {SDP_BYTES} bytes")
    return Offer(checked(sdp, settings), read_start({"type": "session.start"} | said, rtp=True))


def checked(sdp: str, settings: LiveSettings) -> str:
    """The offer without the client's candidates.

    A client finds the server by the answer, and by its checks the server finds the client (peer-reflexive candidates, RFC 8445, 7.3.1.3). So no packet is sent to an address
    that has not sent one with the answer's password first; and no name is looked up by multicast, for which aioice listens on every interface.
    With ICE servers the client's addresses are needed, for both sides open their own way out; names are left out all the same.

    Raises:
        LiveError: no offer of one track of sound, one of pictures and a data channel, as this server takes them.
    """
    from aiortc.sdp import SessionDescription

    # As aiortc's parser splits it, at more than line feeds: nothing that it reads may go by unseen.
    lines = [line for line in sdp.splitlines() if not _left_out(line, bool(settings.ice_servers))]
    text = "\r\n".join(lines)
    try:
        described = SessionDescription.parse(text)
    except Exception as error:  # of whatever kind its parser meets in what is no SDP
        raise LiveError(BAD_DATA, f"the offer is no SDP that can be read ({type(error).__name__})") from error
    if not settings.ice_servers and any(one.ice_candidates for one in described.media):
        raise LiveError(BAD_DATA, "the offer has candidates in a form that is not known; leave them out")
    media: dict[str, Any] = {}
    for one in described.media:
        if one.kind not in ("audio", "video", "application") or one.kind in media:
            raise LiveError(BAD_DATA, f"the offer has a second {one.kind}; one audio, one video and one data channel")
        media[one.kind] = one
    missing = [kind for kind in ("audio", "video", "application") if kind not in media]
    if missing:
        names = ", ".join("data channel" if kind == "application" else kind for kind in missing)
        raise LiveError(BAD_DATA, f"the offer has no {names}; it takes one audio, one video and one data channel")
    if not all(one.dtls and one.dtls.fingerprints for one in media.values()):
        raise LiveError(BAD_DATA, "the offer has no fingerprint of a certificate (RFC 8122)")
    _check_media(media["audio"], ("opus",), SENDS, "your sound is sent on the audio track (sendrecv)")
    _check_media(media["video"], ("vp8", "h264"), TAKES, "pictures come on the video track (recvonly)")
    return text


def local_address(request: Request, settings: LiveSettings) -> str:
    """Where media is sent from: the address that the operator named, else the very one that the request reached.

    Raises:
        LiveError: neither is an address of this machine.
    """
    said = settings.rtc_address or (request.scope.get("server") or ("",))[0]
    try:
        address = ipaddress.ip_address(said)
    except ValueError:
        raise LiveError(
            UNSUPPORTED,
            f"WebRTC needs an IP address, and the server is at {said or 'none'}; name one by --live-address",
        ) from None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(address)


def _left_out(line: str, candidates: bool) -> bool:
    if line.startswith("a=candidate:"):
        return not candidates or len(line.split()) < 5 or line.split()[4].lower().endswith(".local")
    return line.startswith("a=end-of-candidates")


def _check_media(media: Any, codecs: tuple[str, ...], directions: tuple[str, ...], why: str) -> None:
    if media.direction not in directions:
        raise LiveError(BAD_DATA, f"the offer's {media.kind} is {media.direction or 'inactive'}, but {why}")
    offered = sorted({codec.mimeType.partition("/")[2].lower() for codec in media.rtp.codecs})
    if not set(codecs) & set(offered):
        known = " or ".join(codecs)
        raise LiveError(UNSUPPORTED, f"{media.kind} goes as {known}, and the offer has {', '.join(offered) or 'none'}")
