"""What an input of a model holds: a number, a yes or no, or a word."""

NUMBER, FLAG, CATEGORY = "number", "flag", "category"
KINDS = (NUMBER, FLAG, CATEGORY)
