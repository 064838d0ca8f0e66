"""What is measured beside the product: its choices, and other features in its engine."""
