"""What runs inside a machine beside the product."""
