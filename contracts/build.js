// Compiles every contract of this directory into out/*.json, or into the directory given: node contracts/build.js [DIR]
// With a second directory that one's contracts are compiled too: those of the tests.
// The metadata hash is left out, so that the same source gives the same bytes on every machine.
const fs = require("node:fs");
const path = require("node:path");
const solc = require("solc");

const out = path.resolve(process.argv[2] ?? path.join(__dirname, "out"));
const places = [__dirname, ...process.argv.slice(3)];
const paths = places.flatMap((place) => fs.readdirSync(place).map((name) => path.join(place, name)));
const sources = paths.filter((name) => name.endsWith(".sol")).sort();
const input = {
  language: "Solidity",
  sources: Object.fromEntries(sources.map((name) => [path.basename(name), { content: fs.readFileSync(name, "utf8") }])),
  settings: {
    evmVersion: "cancun",
    optimizer: { enabled: true, runs: 200 },
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
  },
};

const output = JSON.parse(solc.compile(JSON.stringify(input)));
for (const { formattedMessage } of output.errors ?? []) process.stderr.write(formattedMessage);
if (output.errors?.length) process.exit(1);

fs.mkdirSync(out, { recursive: true });
for (const [contract, { abi, evm }] of Object.values(output.contracts).flatMap(Object.entries)) {
  if (!evm.bytecode.object) continue; // an interface has no code to keep
  const artifact = {
    contractName: contract,
    compiler: solc.version(),
    abi,
    bytecode: `0x${evm.bytecode.object}`,
    deployedBytecode: `0x${evm.deployedBytecode.object}`,
  };
  fs.writeFileSync(path.join(out, `${contract}.json`), `${JSON.stringify(artifact, null, 1)}\n`);
}
