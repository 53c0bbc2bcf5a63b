"""What must hold: rules that follow from definitions, rules written by hand, rules from history; and the verdict on what was written."""
