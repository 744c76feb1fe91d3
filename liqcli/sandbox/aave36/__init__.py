"""The sandbox's second target: Aave V3.6, compiled from its npm package and deployed."""
