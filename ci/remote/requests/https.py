"""Connect to an https server as tools do: the certificate needs dates, name and authority."""

import http.client
import ssl
from typing import Optional

# X509_V_FLAG_X509_STRICT and _PARTIAL_CHAIN: set by Python from 3.13 on; a tool's may be older.
NEWER_FLAGS = 0x20 | 0x80000
# X509_V_ERR_… of OpenSSL → what is wrong with a certificate.
WRONG = {
    **dict.fromkeys((9, 10), "dates"),
    **dict.fromkeys((2, 18, 19, 20, 21), "authority"),
    **dict.fromkeys((62, 63, 64), "name"),
}
# Reasons of OpenSSL for an answer that is not TLS.
PLAIN = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"}


class UntrustedError(ValueError):
    """A server that tools cannot ask, however long one waits; `untrusted` says why."""

    def __init__(self, untrusted: str, message: str) -> None:
        super().__init__(message)
        self.untrusted = untrusted


class Verified(http.client.HTTPConnection):
    """A connection that `connect` opens only to a server with a good certificate."""

    default_port = 443

    def __init__(self, host: str, port: Optional[int], timeout_s: float, trust: str) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self._trust = trust

    def connect(self) -> None:
        """Connect, then verify: the server, or its script, may make the file at its start."""
        super().connect()
        try:
            context = ssl.create_default_context(cafile=self._trust or None)
        except OSError as error:  # SSLError for a file without a certificate
            text = "no certificate in it" if isinstance(error, ssl.SSLError) else error.strerror
            message = "the certificate %s cannot be read: %s" % (self._trust, text)
            raise UntrustedError("file", message) from None
        context.verify_flags &= ~NEWER_FLAGS
        try:
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host)
        except ssl.SSLCertVerificationError as error:
            message = "the server's certificate is refused: " + error.verify_message.rstrip(".")
            raise UntrustedError(WRONG.get(error.verify_code, "other"), message) from None
        except ssl.SSLError as error:
            if error.reason not in PLAIN:
                raise
            message = "the server speaks http where https is expected"
            raise UntrustedError("plain", message) from None
