// Asks a scoring desk for one borrower's score over mutual TLS, and prints it as JSON.
//
//   node score.mjs --address 127.0.0.1:8443 --ca callers-ca.pem \
//     --certificate caller.pem --key caller.key --proto ../../federation/proto/scoring.proto \
//     --borrower 0012345678 --features '{"loan_amount": 25000, "industry": "retail", "term": null}'
//
// A number is a numeric feature, a text a category, null a value that the bank does not know.
// The exit status is 0, or 1 with gRPC's status and the refused fields on stderr.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const DEADLINE_MS = 1000;

const { values: options } = parseArgs({
  options: {
    address: { type: "string" },
    ca: { type: "string" },
    certificate: { type: "string" },
    key: { type: "string" },
    proto: { type: "string", default: "../../federation/proto/scoring.proto" },
    borrower: { type: "string" },
    features: { type: "string", default: "{}" },
    model: { type: "string", default: "" },
  },
});
for (const name of ["address", "ca", "certificate", "key", "borrower"]) {
  if (options[name] === undefined) {
    console.error(`--${name} is missing`);
    process.exit(2);
  }
}

function asValue(value) {
  if (value === null) return { missing: true };
  return typeof value === "string" ? { category: value } : { number: value };
}

const definition = protoLoader.loadSync(options.proto, {
  keepCase: true,
  enums: String,
  defaults: true, // what is false, 0 or empty is shown too
});
const { ScoringService } = grpc.loadPackageDefinition(definition).veilscore.scoring.v1;
const credentials = grpc.credentials.createSsl(
  readFileSync(options.ca),
  readFileSync(options.key),
  readFileSync(options.certificate),
);
const desk = new ScoringService(options.address, credentials);

const features = Object.fromEntries(
  Object.entries(JSON.parse(options.features)).map(([name, value]) => [name, asValue(value)]),
);
const request = { borrower: options.borrower, features, model: options.model };
const deadline = Date.now() + DEADLINE_MS;

desk.score(request, { deadline }, (error, reply) => {
  if (error) {
    // `details` names every refused field; no value of the request is in it.
    console.error(`${grpc.status[error.code]}: ${error.details}`);
    process.exitCode = 1;
  } else {
    console.log(JSON.stringify(reply));
  }
  desk.close();
});
