"""Where a host stands in its fleet: a stable share of the splay (SPEC 3)."""

import hashlib


def phase_of(node_id: str) -> float:
    """Share of the splay for this node id, in [0, 1): the same for ever, uniform over a fleet."""
    digest = hashlib.sha256(node_id.encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53  # 53 bits: what a float holds
