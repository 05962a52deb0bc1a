"""A feature party's answer side of online scoring: `veilscore party serve`.

It holds the party's points of all its borrowers in memory, answers the label party alone, and
enters what left in a hash-chained log.
"""
