"""What came in: typed, frozen, validated. Pure."""
