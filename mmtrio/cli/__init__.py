"""The verbs people type: parse the arguments, wire the rings below together, exit with a code.

Law: the top ring. It may import every other ring and none may import it. It decides nothing about trading;
defaults live in the configuration, where each one is visible.
"""
