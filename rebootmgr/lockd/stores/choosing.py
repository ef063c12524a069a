"""Which store it is."""

from pathlib import Path

from rebootmgr.lockd.key_material import KeyMaterial
from rebootmgr.lockd.stores.etcd import EtcdStore
from rebootmgr.lockd.stores.gateway import EtcdGateway
from rebootmgr.lockd.stores.keeper import Store
from rebootmgr.lockd.stores.sqlite import SqliteStore
from rebootmgr.lockd_config.keys import ETCD
from rebootmgr.lockd_config.wanted import StoreWanted


def store_of(wanted: StoreWanted, keys: KeyMaterial) -> Store:
    """Give the store that is wanted, not opened yet."""
    if wanted.kind == ETCD:
        gateway = EtcdGateway(wanted.etcd_endpoints, keys.etcd_trust, keys.etcd_login)
        return EtcdStore(gateway, wanted.etcd_prefix)
    return SqliteStore(Path(wanted.path))
