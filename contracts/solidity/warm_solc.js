// A compiler that stays loaded, for the mutants: npm's solc takes a second to load and to warm up,
// which is most of the time that a mutant costs.
//
//   node warm_solc.js serve SOCKET               compiles what comes, until it is ended
//   node warm_solc.js ask SOCKET --version       answers as `solc` beside this file does
//   node warm_solc.js ask SOCKET --standard-json
"use strict";

const fs = require("fs");
const net = require("net");

const [task, socket, ...asked] = process.argv.slice(2);

if (task === "serve") {
  const compiler = require("solc");
  const version = `solc, the solidity compiler commandline interface\nVersion: ${compiler.version()}\n`;
  net
    .createServer({ allowHalfOpen: true }, (connection) => {
      const parts = [];
      connection.on("data", (part) => parts.push(part));
      connection.on("error", () => {});
      connection.on("end", () => {
        const request = Buffer.concat(parts).toString("utf8");
        connection.end(request === "" ? version : compiler.compile(request) + "\n");
      });
    })
    .listen(socket);
  // It ends with whoever started it.
  process.stdin.on("end", () => process.exit(0)).resume();
} else {
  const connection = net.connect({ path: socket, allowHalfOpen: true });
  connection.on("error", (error) => {
    process.stderr.write(`The compiler that should stay loaded is gone: ${error.message}.\n`);
    process.exitCode = 1;
  });
  connection.pipe(process.stdout);
  connection.end(asked.includes("--standard-json") ? fs.readFileSync(0) : "");
}
