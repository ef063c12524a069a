"""How our object describes itself (D-Bus specification, Introspection Data Format)."""

from collections.abc import Iterator
from typing import Final

from rebootmgr.bus.words import PROPERTIES as PROPERTIES_INTERFACE
from rebootmgr.control.members import MANAGER, PROPERTIES, STEERING, Member

__all__ = [
    "INTROSPECTABLE",
    "PEER",
    "PROPERTIES_INTERFACE",
    "encode_introspection",
    "encode_parent",
]

INTROSPECTABLE: Final = "org.freedesktop.DBus.Introspectable"
PEER: Final = "org.freedesktop.DBus.Peer"

_DOCTYPE: Final = (
    '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"\n'
    '"https://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">\n'
)
_CHANGES: Final = "org.freedesktop.DBus.Property.EmitsChangedSignal"

_STANDARD: Final = f"""\
 <interface name="{PEER}">
  <method name="Ping"/>
  <method name="GetMachineId"><arg type="s" name="machine_uuid" direction="out"/></method>
 </interface>
 <interface name="{INTROSPECTABLE}">
  <method name="Introspect"><arg name="xml_data" type="s" direction="out"/></method>
 </interface>
"""
_OBJECT: Final = f"""\
 <interface name="{PROPERTIES_INTERFACE}">
  <method name="Get">
   <arg name="interface_name" type="s" direction="in"/>
   <arg name="property_name" type="s" direction="in"/>
   <arg name="value" type="v" direction="out"/>
  </method>
  <method name="GetAll">
   <arg name="interface_name" type="s" direction="in"/>
   <arg name="properties" type="a{{sv}}" direction="out"/>
  </method>
  <method name="Set">
   <arg name="interface_name" type="s" direction="in"/>
   <arg name="property_name" type="s" direction="in"/>
   <arg name="value" type="v" direction="in"/>
  </method>
  <signal name="PropertiesChanged">
   <arg type="s" name="interface_name"/>
   <arg type="a{{sv}}" name="changed_properties"/>
   <arg type="as" name="invalidated_properties"/>
  </signal>
 </interface>
 <interface name="{MANAGER}">
  <method name="Describe"><arg type="s" name="json" direction="out"/></method>
"""


def encode_introspection() -> str:
    """Describe the Manager object."""
    methods = "".join(map(_method, STEERING))
    properties = "".join(
        f'  <property name="{name}" type="{each.type}" access="read">'
        f'<annotation name="{_CHANGES}" value="{"const" if each.is_constant else "true"}"/>'
        "</property>\n"
        for name, each in PROPERTIES.items()
    )
    return f"{_DOCTYPE}<node>\n{_STANDARD}{_OBJECT}{methods}{properties} </interface>\n</node>\n"


def encode_parent(child: str) -> str:
    """Describe a node that only leads to `child`, so that tools can find the way."""
    return f'{_DOCTYPE}<node>\n{_STANDARD} <node name="{child}"/>\n</node>\n'


def _method(member: Member) -> str:
    match list(_arguments(member)):
        case []:
            return f'  <method name="{member.name}"/>\n'
        case [only]:
            return f'  <method name="{member.name}">{only}</method>\n'
        case several:
            lines = "".join(f"   {each}\n" for each in several)
            return f'  <method name="{member.name}">\n{lines}  </method>\n'


def _arguments(member: Member) -> Iterator[str]:
    for direction, arguments in (("in", member.takes), ("out", member.gives)):
        for each in arguments:
            yield f'<arg name="{each.name}" type="{each.type}" direction="{direction}"/>'
