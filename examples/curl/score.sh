#!/bin/sh
# Asks a scoring desk's REST gateway for one borrower's score, over mutual TLS. Prints the reply.
#
#   ./score.sh https://127.0.0.1:8444 desk-ca.pem caller.pem caller.key request.json
#
# request.json is the body of POST /v1/score:
#   {"borrower": "0012345678", "features": {"loan_amount": 25000, "industry": "retail", "term": null}}
# A number is a numeric feature, a text a category, null a value that the bank does not know.
# The exit status is 0, or 22 where the desk refused; its reply names every wrong field.
set -eu

if [ $# -ne 5 ]; then
  echo "usage: $0 URL CA CERTIFICATE KEY REQUEST" >&2
  exit 2
fi

exec curl --silent --show-error --fail-with-body --max-time 2 \
  --cacert "$2" --cert "$3" --key "$4" \
  --header "Content-Type: application/json" \
  --header "X-Deadline-Ms: 500" \
  --data-binary "@$5" \
  "$1/v1/score"
