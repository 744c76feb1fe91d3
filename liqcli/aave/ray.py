"""Fixed-point arithmetic and interest exactly as the contracts round it; inputs are never negative."""

Version = tuple[int, ...]
"""An Aave V3 release: (3, 0, 2), (3, 1) ... (3, 7)."""

RAY = 10**27
WAD = 10**18
PERCENT = 10_000
_HALF_RAY = RAY // 2
_HALF_PERCENT = PERCENT // 2
SECONDS_PER_YEAR = 31_536_000


def div_ceil(a: int, b: int) -> int:
    """`a / b` rounded up."""
    return -(-a // b)


def ray_mul(a: int, b: int) -> int:
    """`a * b / RAY` rounded half up."""
    return (a * b + _HALF_RAY) // RAY


def ray_mul_floor(a: int, b: int) -> int:
    """`a * b / RAY` rounded down (3.5 on)."""
    return a * b // RAY


def ray_mul_ceil(a: int, b: int) -> int:
    """`a * b / RAY` rounded up (3.5 on)."""
    return div_ceil(a * b, RAY)


def ray_div(a: int, b: int) -> int:
    """`a * RAY / b` rounded half up."""
    return (a * RAY + b // 2) // b


def ray_div_floor(a: int, b: int) -> int:
    """`a * RAY / b` rounded down (3.5 on)."""
    return a * RAY // b


def ray_div_ceil(a: int, b: int) -> int:
    """`a * RAY / b` rounded up (3.5 on)."""
    return div_ceil(a * RAY, b)


def wad_div(a: int, b: int) -> int:
    """`a * WAD / b` rounded half up."""
    return (a * WAD + b // 2) // b


def percent_mul(value: int, basis_points: int) -> int:
    """Basis points of a value, rounded half up."""
    return (value * basis_points + _HALF_PERCENT) // PERCENT


def percent_mul_floor(value: int, basis_points: int) -> int:
    """Basis points of a value, rounded down (3.5 on)."""
    return value * basis_points // PERCENT


def percent_mul_ceil(value: int, basis_points: int) -> int:
    """Basis points of a value, rounded up (3.7 on)."""
    return div_ceil(value * basis_points, PERCENT)


def percent_div(value: int, basis_points: int) -> int:
    """The whole of which a value is so many basis points, rounded half up."""
    return (value * PERCENT + basis_points // 2) // basis_points


def percent_div_floor(value: int, basis_points: int) -> int:
    """The whole of which a value is so many basis points, rounded down (3.7 on)."""
    return value * PERCENT // basis_points


def percent_div_ceil(value: int, basis_points: int) -> int:
    """The whole of which a value is so many basis points, rounded up (3.5 on)."""
    return div_ceil(value * PERCENT, basis_points)


def linear_interest(rate: int, seconds: int) -> int:
    """Growth of a supplied balance, as a ray factor."""
    return RAY + rate * seconds // SECONDS_PER_YEAR


def compounded_interest(version: Version, rate: int, seconds: int) -> int:
    """Growth of a debt, as a ray factor: three terms of the binomial, or of the exponential from 3.4."""
    if seconds == 0:
        return RAY
    return _exponential(rate, seconds) if version >= (3, 4) else _binomial(rate, seconds)


def _binomial(rate: int, seconds: int) -> int:
    second_power = ray_mul(rate, rate) // (SECONDS_PER_YEAR * SECONDS_PER_YEAR)
    third_power = ray_mul(second_power, rate) // SECONDS_PER_YEAR
    second_term = seconds * (seconds - 1) * second_power // 2
    third_term = seconds * (seconds - 1) * max(seconds - 2, 0) * third_power // 6
    return RAY + rate * seconds // SECONDS_PER_YEAR + second_term + third_term


def _exponential(rate: int, seconds: int) -> int:
    exponent = rate * seconds // SECONDS_PER_YEAR
    return RAY + exponent + ray_mul(exponent, exponent // 2 + ray_mul(exponent, exponent // 6))
