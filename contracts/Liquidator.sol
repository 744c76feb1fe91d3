// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

interface IPool {
    function liquidationCall(address collateral, address debt, address borrower, uint256 amount, bool asAToken) external;
    function flashLoanSimple(address receiver, address asset, uint256 amount, bytes calldata params, uint16 referral) external;
}

interface IToken {
    function balanceOf(address account) external view returns (uint256);
    function allowance(address owner, address spender) external view returns (uint256);
    function approve(address spender, uint256 amount) external;
    function transfer(address to, uint256 amount) external;
    function transferFrom(address from, address to, uint256 amount) external;
}

interface IRouterV2 {
    function swapExactTokensForTokens(
        uint256 amountIn,
        uint256 amountOutMin,
        address[] calldata path,
        address to,
        uint256 deadline
    ) external;
}

interface IRouterV3 {
    struct ExactInput {
        bytes path;
        address recipient;
        uint256 deadline;
        uint256 amountIn;
        uint256 amountOutMinimum;
    }

    function exactInput(ExactInput calldata params) external;
}

/// Repays a borrower's debt with a flash loan or the owner's money, sells what was seized, and pays the owner, or reverts.
/// It holds nothing between two calls and leaves no allowance behind, so there is nothing in it to take.
contract Liquidator {
    enum Style {
        None,
        V2,
        V3
    }

    /// `path` is packed: token, [fee of three bytes in V3 style,] token, and so on; empty where debt and collateral are one.
    struct Plan {
        address collateral;
        address debt;
        address borrower;
        uint256 amount;
        uint256 minProfit;
        bool flashLoan;
        address router;
        bytes path;
    }

    error NotOwner(address caller);
    error NotOurFlashLoan(address caller, address initiator);
    error Reentered();
    error RouterNotAllowed(address router);
    error Unprofitable(uint256 held, uint256 needed);
    error TokenRefused(address token);

    event RouterAllowed(address indexed router, Style style);
    event Liquidated(address indexed borrower, address indexed collateral, address indexed debt, uint256 profit);

    IPool public immutable pool;
    address public immutable owner;
    mapping(address router => Style) public styleOf;
    bool private transient busy;

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        _;
    }

    /// One call at a time; the flash loan's callback is part of the call that asked for it.
    modifier once() {
        if (busy) revert Reentered();
        busy = true;
        _;
        busy = false;
    }

    constructor(IPool pool_, address[] memory routersV2, address[] memory routersV3) {
        pool = pool_;
        owner = msg.sender;
        for (uint256 i = 0; i < routersV2.length; ++i) _allow(routersV2[i], Style.V2);
        for (uint256 i = 0; i < routersV3.length; ++i) _allow(routersV3[i], Style.V3);
    }

    /// Let plans use a router, or with `Style.None` no more.
    function allow(address router, Style style) external onlyOwner once {
        _allow(router, style);
    }

    /// Liquidate as planned; reverts unless the owner gains `minProfit` of the debt's token.
    function liquidate(Plan calldata plan) external onlyOwner once returns (uint256 profit) {
        if (plan.path.length != 0 && styleOf[plan.router] == Style.None) revert RouterNotAllowed(plan.router);
        uint256 collateralBefore = _held(plan.collateral);
        uint256 debtBefore = _held(plan.debt);
        if (plan.flashLoan) {
            pool.flashLoanSimple(address(this), plan.debt, plan.amount, abi.encode(plan), 0);
        } else {
            _send(plan.debt, abi.encodeCall(IToken.transferFrom, (owner, address(this), plan.amount)));
            _seizeAndSell(plan, 0);
        }
        _disallow(plan.debt, address(pool));
        uint256 paid = _payOut(plan.debt, debtBefore);
        if (plan.collateral != plan.debt) _payOut(plan.collateral, collateralBefore);
        profit = plan.flashLoan ? paid : paid - plan.amount;
        emit Liquidated(plan.borrower, plan.collateral, plan.debt, profit);
    }

    /// The pool's callback, with the loan already here; it takes the loan and the premium back when this returns.
    function executeOperation(
        address asset,
        uint256 amount,
        uint256 premium,
        address initiator,
        bytes calldata params
    ) external returns (bool) {
        if (!busy || msg.sender != address(pool) || initiator != address(this)) {
            revert NotOurFlashLoan(msg.sender, initiator);
        }
        _seizeAndSell(abi.decode(params, (Plan)), premium);
        _approve(asset, address(pool), amount + premium);
        return true;
    }

    /// Send the owner all of a token that has come here by mistake.
    function rescue(address token) external onlyOwner once {
        _payOut(token, 0);
    }

    /// `plan.amount` of the debt's token is here; afterwards it is back with `cost` and the wanted profit on top.
    function _seizeAndSell(Plan memory plan, uint256 cost) private {
        uint256 needed = _held(plan.debt) + cost + plan.minProfit;
        uint256 before = plan.collateral == plan.debt ? 0 : _held(plan.collateral);
        _approve(plan.debt, address(pool), plan.amount);
        pool.liquidationCall(plan.collateral, plan.debt, plan.borrower, plan.amount, false);
        _disallow(plan.debt, address(pool));
        if (plan.path.length != 0) _sell(plan, _held(plan.collateral) - before);
        uint256 held = _held(plan.debt);
        if (held < needed) revert Unprofitable(held, needed);
    }

    function _sell(Plan memory plan, uint256 amount) private {
        _approve(plan.collateral, plan.router, amount);
        if (styleOf[plan.router] == Style.V2) {
            // The minimum is the whole call's: what it must hold in the end.
            IRouterV2(plan.router).swapExactTokensForTokens(amount, 0, _tokens(plan.path), address(this), block.timestamp);
        } else {
            IRouterV3(plan.router).exactInput(
                IRouterV3.ExactInput(plan.path, address(this), block.timestamp, amount, 0)
            );
        }
        _disallow(plan.collateral, plan.router);
    }

    function _payOut(address token, uint256 before) private returns (uint256 amount) {
        amount = _held(token) - before;
        if (amount != 0) _send(token, abi.encodeCall(IToken.transfer, (owner, amount)));
    }

    function _allow(address router, Style style) private {
        styleOf[router] = style;
        emit RouterAllowed(router, style);
    }

    function _approve(address token, address spender, uint256 amount) private {
        _send(token, abi.encodeCall(IToken.approve, (spender, amount)));
    }

    function _disallow(address token, address spender) private {
        if (IToken(token).allowance(address(this), spender) != 0) _approve(token, spender, 0);
    }

    /// Call a token; some return nothing, some false where they refuse.
    function _send(address token, bytes memory data) private {
        (bool success, bytes memory answer) = token.call(data);
        if (!success || (answer.length != 0 && !abi.decode(answer, (bool)))) revert TokenRefused(token);
    }

    function _held(address token) private view returns (uint256) {
        return IToken(token).balanceOf(address(this));
    }

    function _tokens(bytes memory path) private pure returns (address[] memory tokens) {
        tokens = new address[](path.length / 20);
        for (uint256 i = 0; i < tokens.length; ++i) {
            uint256 token;
            assembly ("memory-safe") {
                token := shr(96, mload(add(add(path, 32), mul(i, 20))))
            }
            tokens[i] = address(uint160(token));
        }
    }
}
