"""Machine-days that are unusual for their equipment model, beside what the rules know to ask."""
