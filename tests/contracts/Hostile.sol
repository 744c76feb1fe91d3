// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPool, Liquidator} from "Liquidator.sol";

/// The worst owner and router at once: it owns a Liquidator, and in the middle of a sale it calls whatever it was told to.
contract Hostile {
    Liquidator public immutable liquidator;
    address private target;
    bytes private data;

    constructor(IPool pool) {
        address[] memory routers = new address[](1);
        routers[0] = address(this);
        liquidator = new Liquidator(pool, routers, new address[](0));
    }

    function attack(Liquidator.Plan calldata plan, address target_, bytes calldata data_) external {
        (target, data) = (target_, data_);
        liquidator.liquidate(plan);
    }

    function swapExactTokensForTokens(uint256, uint256, address[] calldata, address, uint256) external {
        (bool success, bytes memory answer) = target.call(data);
        if (success) return;
        assembly {
            revert(add(answer, 32), mload(answer))
        }
    }
}
