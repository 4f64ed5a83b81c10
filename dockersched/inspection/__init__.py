"""Looking at runs from outside: which there are, how their tasks stand, what they print. Changes nothing."""
