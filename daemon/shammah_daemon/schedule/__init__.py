"""When lessons start by themselves, and when they had better wait."""
