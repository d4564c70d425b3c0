"""Public keys with which anybody could sign, or on which verifiers disagree: none of them is an approver's.

The libraries that verify take some of them. Pure, and of bounded time: a run checks a key each time it
verifies.
"""

from functools import lru_cache

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_Point = tuple[int, int]

MIN_RSA_BITS = 2_048
MAX_RSA_BITS = 8_192
MIN_RSA_EXPONENT = 65_537
"""FIPS 186-5, 5.4: smaller ones are odd choices, and 1 is no lock at all."""
MAX_RSA_EXPONENT = 2**32 - 1
"""A huge one makes each verification a minute's work."""


@lru_cache(maxsize=1_024)
def ed25519_problem(encoded: bytes) -> str | None:
    """What is wrong with an Ed25519 public key (RFC 8032, 5.1.3); ``None`` if nothing is.

    With a point of small order, a signature verifies that nobody's private key has made.
    """
    if len(encoded) != 32:
        return f"it has {len(encoded)} bytes; Ed25519 needs 32"
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= _P:
        return "its point is not encoded canonically"
    x = _x_of(y, sign)
    if x is None:
        return "its point is not on the curve"
    point = (x, y)
    for _ in range(3):
        point = _doubled(point)
    return "its point is of small order: anybody can sign with it" if point == (0, 1) else None


def rsa_problem(modulus: int, exponent: int) -> str | None:
    """What is wrong with an RSA public key; ``None`` if nothing is."""
    bits = modulus.bit_length()
    if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
        return f"it has {bits} bits; RS256 needs {MIN_RSA_BITS} to {MAX_RSA_BITS}"
    if modulus % 2 == 0:
        return "its modulus is even"
    if exponent % 2 == 0 or not MIN_RSA_EXPONENT <= exponent <= MAX_RSA_EXPONENT:
        return f"its exponent must be odd, {MIN_RSA_EXPONENT} to {MAX_RSA_EXPONENT}"
    return None


def _x_of(y: int, sign: int) -> int | None:
    """The x of a point with this y, if the curve has one."""
    numerator, denominator = (y * y - 1) % _P, (_D * y * y + 1) % _P
    square = numerator * pow(denominator, -1, _P) % _P
    root = pow(square, (_P + 3) // 8, _P)
    if root * root % _P != square:
        root = root * pow(2, (_P - 1) // 4, _P) % _P
    if root * root % _P != square or (root == 0 and sign):
        return None
    return root if root % 2 == sign else _P - root


def _doubled(point: _Point) -> _Point:
    x, y = point
    product = _D * x * x * y * y % _P
    doubled_x = 2 * x * y * pow(1 + product, -1, _P) % _P
    doubled_y = (y * y + x * x) * pow(1 - product, -1, _P) % _P
    return doubled_x, doubled_y
