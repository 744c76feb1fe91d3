"""Why a pool refused a call: numbered strings up to 3.3, custom errors from 3.4, one name for both."""

_ROWS = (
    ("13", "InvalidFlashloanExecutorReturn", "fb37391e"),
    ("24", "InvalidMintAmount", "ccfad018"),
    ("25", "InvalidBurnAmount", "2075cc10"),
    ("26", "InvalidAmount", "2c5211c6"),
    ("27", "ReserveInactive", "90cd6f24"),
    ("28", "ReserveFrozen", "6d305815"),
    ("29", "ReservePaused", "d37f5f1c"),
    ("30", "BorrowingNotEnabled", "53587745"),
    ("32", "NotEnoughAvailableUserBalance", "47bc4b2c"),
    ("33", "InvalidInterestRateModeSelected", "17c5a78e"),
    ("34", "CollateralBalanceIsZero", "e43ec917"),
    ("35", "HealthFactorLowerThanLiquidationThreshold", "6679996d"),
    ("36", "CollateralCannotCoverNewBorrow", "911ceb81"),
    ("39", "NoDebtOfSelectedType", "f0788fb2"),
    ("40", "NoExplicitAmountToRepayOnBehalf", "cd3779c3"),
    ("43", "UnderlyingBalanceZero", "5fe10377"),
    ("45", "HealthFactorNotBelowThreshold", "930bb771"),
    ("46", "CollateralCannotBeLiquidated", "979b5ce8"),
    ("47", "SpecifiedCurrencyNotBorrowedByUser", "3653732b"),
    ("49", "InconsistentFlashloanParams", "039ebb30"),
    ("50", "BorrowCapExceeded", "77a6a896"),
    ("51", "SupplyCapExceeded", "f58f733a"),
    ("53", "DebtCeilingExceeded", "e24734c2"),
    ("57", "LtvValidationFailed", "5b263df7"),
    ("58", "InconsistentEModeCategory", "c1d88872"),
    ("59", "PriceOracleSentinelCheckFailed", "91037009"),
    ("60", "AssetNotBorrowableInIsolation", "30d1eeb9"),
    ("62", "UserInIsolationModeOrLtvZero", "0cafc072"),
    ("77", "ZeroAddressNotValid", "3bf95ba7"),
    ("80", "OperationNotSupported", "29a270f5"),
    ("82", "AssetNotListed", "b77e1e0f"),
    ("89", "SiloedBorrowingViolation", "c27f9abe"),
    ("91", "FlashloanDisabled", "580f2f14"),
    ("93", "WithdrawToAToken", "dbc4273c"),
    ("94", "SupplyToAToken", "18d2badf"),
    ("97", "LiquidationGraceSentinelCheckFailed", "9e3e6060"),
    ("100", "NotBorrowableInEMode", "57db5bba"),
    ("103", "MustNotLeaveDust", "b629b0e4"),
    ("", "SelfLiquidation", "44511af1"),
)
BY_CODE = {code: name for code, name, _ in _ROWS if code}
BY_SELECTOR = {bytes.fromhex(selector): name for _, name, selector in _ROWS}
OF_OUR_LIQUIDATOR = {
    bytes.fromhex("245aecd3"): "NotOwner",
    bytes.fromhex("9e4e2af7"): "NotOurFlashLoan",
    bytes.fromhex("b5dfd9e5"): "Reentered",
    bytes.fromhex("c665406f"): "RouterNotAllowed",
    bytes.fromhex("4482de3e"): "Unprofitable",
    bytes.fromhex("58294a43"): "TokenRefused",
}
ERROR_STRING = bytes.fromhex("08c379a0")
PANIC = bytes.fromhex("4e487b71")


def reason_of(data: bytes) -> str:
    """The protocol's name for revert data; a foreign contract's string or selector as it stands."""
    selector, body = data[:4], data[4:]
    if selector == ERROR_STRING:
        text = _text(body)
        return BY_CODE.get(text, text)
    if selector == PANIC:
        return f"Panic(0x{int.from_bytes(body[:32]):02x})"
    known = BY_SELECTOR.get(selector) or OF_OUR_LIQUIDATOR.get(selector)
    return known or (f"0x{data[:4].hex()}" if data else "no reason given")


def _text(body: bytes) -> str:
    length = int.from_bytes(body[32:64])
    return body[64 : 64 + length].decode("utf-8", "replace") if length <= len(body) else "malformed reason"
