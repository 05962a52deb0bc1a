"""Scores of features that the desk never sees, under weights that the applicant never sees.

An applicant encrypts its features under its own CKKS key; the desk returns a weighted sum of the
ciphertexts, re-randomised and flooded; the applicant decrypts its score, to which nothing but the
sum of weights times inputs contributed. No I/O here.

What each side learns:

- The desk: who asks, how often, for how many borrowers. Of the features nothing, under ring-LWE at
  128-bit security.
- The applicant: features, means, scales, bin borders; the power of two that bounds the scores; and
  its scores, not the weights.

What remains: scores themselves tell about weights, and no cryptography helps against that. Numeric
inputs or indicators of a bin chosen one at a time give the d weights of the grid in d + 1 queries.
A client that writes its own software isn't bound to honest inputs and can pack several weights in
one query; `NoiseBudget.capacity_bits` (20 to 33) is the most that one borrower of one query tells,
so a model of B bits takes at least B / capacity queries: a logistic model of 25 weights of 11 bits
ten of them. Rounding to points is the client library's and stops nobody else. Quotas a key and a
caller count borrowers, not calls; they slow extraction down and put a name to it. Don't offer a
model whose weights must stay secret to callers that are not under contract.
"""

from federation.encrypted_scoring.applicant_key import ApplicantKey, key_id
from federation.encrypted_scoring.budget import NoiseBudget, noise_budget
from federation.encrypted_scoring.encoding import BinnedInput, Encoding, NumericInput
from federation.encrypted_scoring.evaluation import PublicKey, answer
from federation.encrypted_scoring.model import EncryptedModel, from_logistic, from_part
from federation.encrypted_scoring.parameters import RING_DIGEST, borrowers_a_request
from federation.encrypted_scoring.terms import (
    Score,
    Scores,
    Terms,
    encoding_json,
    parameters_json,
)

__all__ = [
    "RING_DIGEST",
    "ApplicantKey",
    "BinnedInput",
    "Encoding",
    "EncryptedModel",
    "NoiseBudget",
    "NumericInput",
    "PublicKey",
    "Score",
    "Scores",
    "Terms",
    "answer",
    "borrowers_a_request",
    "encoding_json",
    "from_logistic",
    "from_part",
    "key_id",
    "noise_budget",
    "parameters_json",
]
