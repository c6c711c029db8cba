"""What is measured on clean test labels: pure functions of logits and labels, in float64, numpy only."""
