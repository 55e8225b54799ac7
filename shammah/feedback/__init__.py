"""From what the user said to what training uses: levels, targets, phrasings, quotas."""
