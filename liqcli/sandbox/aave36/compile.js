// Compiles Aave V3.6 from its npm package: node compile.js OUT, in a directory that has the packages installed.
// Each contract becomes OUT/NAME.json in Hardhat's format, the way the other artifacts of the sandbox are read.
const fs = require("node:fs");
const path = require("node:path");
const solc = require("solc");

const out = path.resolve(process.argv[2]);
const modules = path.join(process.cwd(), "node_modules");
const root = "@aave-dao/aave-v3-origin/src/contracts";
const entries = [
  "helpers/AaveProtocolDataProvider.sol",
  "instances/ATokenInstance.sol",
  "instances/PoolConfiguratorInstance.sol",
  "instances/PoolInstance.sol",
  "instances/VariableDebtTokenInstance.sol",
  "misc/AaveOracle.sol",
  "misc/DefaultReserveInterestRateStrategyV2.sol",
  "protocol/configuration/ACLManager.sol",
  "protocol/configuration/PoolAddressesProvider.sol",
].map((name) => `${root}/${name}`);
const moved = [
  ["openzeppelin-contracts-upgradeable/contracts/", "@openzeppelin/contracts-upgradeable/"],
  ["openzeppelin-contracts/contracts/", "@openzeppelin/contracts/"],
  ["solidity-utils/contracts/", "@bgd-labs/solidity-utils/src/contracts/"],
];
const read = (name) => fs.readFileSync(path.join(modules, name), "utf8");

function findImport(name) {
  const [from, to] = moved.find(([prefix]) => name.startsWith(prefix)) ?? ["", ""];
  try {
    return { contents: read(to + name.slice(from.length)) };
  } catch (err) {
    return { error: err.message };
  }
}

const input = {
  language: "Solidity",
  sources: Object.fromEntries(entries.map((name) => [name, { content: read(name) }])),
  settings: {
    evmVersion: "cancun",
    optimizer: { enabled: true, runs: 200 },
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode", "evm.deployedBytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: findImport }));
const errors = (output.errors ?? []).filter(({ severity }) => severity === "error");
for (const { formattedMessage } of errors) process.stderr.write(formattedMessage);
if (errors.length) process.exit(1);

fs.mkdirSync(out, { recursive: true });
for (const [contract, { abi, evm }] of Object.values(output.contracts).flatMap(Object.entries)) {
  if (!evm.bytecode.object) continue; // an interface has no code to keep
  const artifact = {
    contractName: contract,
    abi,
    bytecode: `0x${evm.bytecode.object}`,
    deployedBytecode: `0x${evm.deployedBytecode.object}`,
    linkReferences: evm.bytecode.linkReferences,
  };
  fs.writeFileSync(path.join(out, `${contract}.json`), JSON.stringify(artifact));
}
