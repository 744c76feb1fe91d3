// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// A price feed that anyone may set: what an Aave oracle reads as an asset's source, and the event its watchers follow.
/// It guards nothing, so it belongs on a sandbox chain only.
contract PriceFeed {
    event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);

    uint8 public immutable decimals;
    int256 public latestAnswer;
    uint256 public latestRound;
    uint256 public latestTimestamp;

    constructor(uint8 decimals_, int256 answer) {
        decimals = decimals_;
        set(answer);
    }

    function set(int256 answer) public {
        latestAnswer = answer;
        latestTimestamp = block.timestamp;
        latestRound += 1;
        emit AnswerUpdated(answer, latestRound, block.timestamp);
    }

    function latestRoundData()
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        uint80 round = uint80(latestRound);
        return (round, latestAnswer, latestTimestamp, latestTimestamp, round);
    }
}
