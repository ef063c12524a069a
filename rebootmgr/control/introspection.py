"""How our object describes itself (D-Bus specification, Introspection Data Format)."""

from typing import Final

from rebootmgr.control.words import PROPERTIES

MANAGER: Final = "org.rebootmgr1.Manager"
INTROSPECTABLE: Final = "org.freedesktop.DBus.Introspectable"
PEER: Final = "org.freedesktop.DBus.Peer"
PROPERTIES_INTERFACE: Final = "org.freedesktop.DBus.Properties"

_DOCTYPE: Final = (
    '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"\n'
    '"https://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">\n'
)
_CHANGES: Final = "org.freedesktop.DBus.Property.EmitsChangedSignal"
_NEVER: Final = {"Version"}

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
  <method name="Reload"/>
  <method name="Hold">
   <arg name="reason" type="s" direction="in"/>
   <arg name="until_usec" type="x" direction="in"/>
   <arg name="id" type="s" direction="out"/>
  </method>
  <method name="Release"><arg name="id" type="s" direction="in"/></method>
  <method name="Reboot">
   <arg name="now" type="b" direction="in"/>
   <arg name="valid_usec" type="t" direction="in"/>
  </method>
  <method name="Cancel">
   <arg name="hold_usec" type="t" direction="in"/>
   <arg name="id" type="s" direction="out"/>
  </method>
  <method name="Forgive">
   <arg name="key" type="s" direction="in"/>
   <arg name="keys" type="as" direction="out"/>
  </method>
"""


def encode_introspection() -> str:
    """Describe the Manager object."""
    properties = "".join(
        f'  <property name="{name}" type="{signature}" access="read">'
        f'<annotation name="{_CHANGES}" value="{_when(name)}"/></property>\n'
        for name, signature in PROPERTIES.items()
    )
    return f"{_DOCTYPE}<node>\n{_STANDARD}{_OBJECT}{properties} </interface>\n</node>\n"


def encode_parent(child: str) -> str:
    """Describe a node that only leads to `child`, so that tools can find the way."""
    return f'{_DOCTYPE}<node>\n{_STANDARD} <node name="{child}"/>\n</node>\n'


def _when(name: str) -> str:
    return "const" if name in _NEVER else "true"
