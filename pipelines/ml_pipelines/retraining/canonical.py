"""JSON in its one canonical form (RFC 8785), so that a hash of it is the same in whatever language it is made."""

import json
import math
from json.encoder import encode_basestring
from typing import Any

# Beyond it a whole number isn't the same everywhere: https://www.rfc-editor.org/rfc/rfc8785#section-3.2.2.3
LARGEST = 2**53 - 1


def canonical(value: Any) -> bytes:
    """The canonical form of words, numbers, yes and no, None, lists and mappings by words, in UTF-8.

    Raises ValueError for what has none: another type, NaN, a whole number beyond 2**53, half of a surrogate pair.
    """
    return _written(value).encode()


def parsed(text: bytes) -> Any:
    """What is written in JSON. A whole number beyond 2**53 was a float, and is one again. Raises ValueError."""
    return json.loads(text, parse_int=lambda digits: int(digits) if abs(int(digits)) <= LARGEST else float(digits))


def _written(value: Any) -> str:
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int):
        if abs(value) > LARGEST:
            raise ValueError(f"{value} is beyond 2**53: write it as a word")
        return str(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(_written(one) for one in value)}]"
    if isinstance(value, dict):
        if other := [key for key in value if not isinstance(key, str)]:
            raise ValueError(f"the key {other[0]!r} is no word")
        # By UTF-16, as JavaScript compares words.
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{_written(key)}:{_written(value[key])}" for key in keys) + "}"
    raise ValueError(f"{value!r} is {type(value).__name__}, which JSON doesn't have")


def _float(value: float) -> str:
    """As ECMAScript writes it: the shortest digits, as Python finds them, with a point from 1e-6 to below 1e21."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is no number that JSON has")
    if value == 0:
        return "0"
    sign, digits, exponent = ("-" if value < 0 else ""), *_digits(abs(value))
    if 0 < exponent <= 21:
        whole = digits.ljust(exponent, "0")
        text = whole if len(digits) <= exponent else f"{digits[:exponent]}.{digits[exponent:]}"
    elif -6 < exponent <= 0:
        text = f"0.{'0' * -exponent}{digits}"
    else:
        shift = exponent - 1
        text = f"{digits[0]}{'.' if len(digits) > 1 else ''}{digits[1:]}e{'+' if shift > 0 else '-'}{abs(shift)}"
    return sign + text


def _digits(value: float) -> tuple[str, int]:
    """The shortest digits of a positive number, and where its point stands among them: 0.digits * 10**exponent."""
    mantissa, _, power = repr(value).partition("e")
    whole, _, part = mantissa.partition(".")
    digits = (whole + part).lstrip("0")
    exponent = int(power or 0) + len(whole) - (len(whole + part) - len(digits))
    return digits.rstrip("0") or "0", exponent
