"""The lending policy: reviewed data that turns a default probability into a decision.

Begin with `lending_policy.LendingPolicy` (one file), `challenger.PolicyPair` (with its challenger),
`adapter.PolicyDesk` (at the scoring desk), and `decision` for what goes in and comes out. This
module imports none of them, so that the command line's help stays quick.
"""
