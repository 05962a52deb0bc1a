"""Asks a scoring desk for one borrower's score over mutual TLS, and prints it as JSON.

    python score.py --address 127.0.0.1:8443 --ca desk-ca.pem --certificate caller.pem \\
        --key caller.key --borrower 0012345678 \\
        --features '{"loan_amount": 25000, "industry": "retail", "term": null}'

A number is a numeric feature, a text a category, null a value that the bank does not know. With
--explain it prints the reasons too, with --info the features that the desk asks for.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from clients.desk_client import DeskClient, DeskUnavailable, FieldsRefused
from federation.errors import InputError


def main() -> int:
    """Ask once; the exit status is 0, 1 where the desk gave no answer, 2 for a wrong request."""
    parser = argparse.ArgumentParser(description="Ask a scoring desk for a borrower's score.")
    parser.add_argument("--address", required=True, help="host:port")
    parser.add_argument("--ca", type=Path, required=True, help="whom the desk's certificate is of")
    parser.add_argument("--certificate", type=Path, required=True, help="the caller's")
    parser.add_argument("--key", type=Path, required=True, help="the caller's private key")
    parser.add_argument("--borrower", default="")
    parser.add_argument("--features", type=json.loads, default={}, help="JSON")
    parser.add_argument("--explain", action="store_true")
    parser.add_argument("--info", action="store_true")
    options = parser.parse_args()
    try:
        with DeskClient(options.address, options.ca, options.certificate, options.key) as desk:
            if options.info:
                answer = asdict(desk.model_info())
            elif options.explain:
                answer = asdict(desk.explain(options.borrower, options.features))
            else:
                answer = asdict(desk.score(options.borrower, options.features))
    except FieldsRefused as refused:
        sys.stderr.write(f"{refused}\n")
        for field, right in refused.fields.items():
            sys.stderr.write(f"  {field}: {right}\n")
        return 2
    except (InputError, DeskUnavailable) as error:
        sys.stderr.write(f"{error}\n")
        return 2 if isinstance(error, InputError) else 1
    sys.stdout.write(json.dumps(answer, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
