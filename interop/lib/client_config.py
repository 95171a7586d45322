"""The configuration files of a client: what strongSwan, libreswan, xl2tpd and pppd read, from one set of options."""
from dataclasses import dataclass, field

from .settings import GATEWAY, PSK

IKE, ESP = "aes256-sha256-modp2048,aes256-sha1-modp1024", "aes256-sha1,aes128-sha1"

IP_UP = """#!/bin/bash
# pppd calls this when IPCP is open: interface, tty, speed, local address, remote address
echo "$4" > /run/ppp0.address.new && mv /run/ppp0.address.new /run/ppp0.address
"""


@dataclass
class Options:
    stack: str = "strongswan"  # strongswan (ipsec.conf), swanctl, libreswan, none
    server: str = GATEWAY
    psk: str = PSK
    user: str = "alice"
    password: str = "alice-pw"
    ike: str = None  # None: IKE and ESP for strongSwan (its own default lacks what servers have), nothing for libreswan
    esp: str = None
    ike_life: int = 10800
    sa_life: int = 3600
    margin: int = 540  # this long before the end of a lifetime the client negotiates anew
    reauth: bool = True
    dpd: int = 0  # seconds between the client's own DPD probes, 0: none
    left_id: str = ""
    right_id: str = "%any"
    aggressive: bool = False
    l2tp_secret: str = ""  # xl2tpd asks the server to prove that it knows it
    l2tp_port: int = 1701  # 0: a port above 1024, and the IPsec selector leaves it open
    auth: tuple = ("pap", "chap", "mschap-v2")  # what pppd accepts to prove itself with
    mtu: int = 1400
    ppp_extra: tuple = ()
    ike_timeout: int = 40
    ppp_timeout: int = 40
    routes: tuple = ()
    files: dict = field(default_factory=dict)  # path under /etc -> text, instead of what is rendered here

    def render(self):
        """-> {path under /etc: text}"""
        ipsec = {"strongswan": self._strongswan, "swanctl": self._swanctl, "libreswan": self._libreswan, "none": dict}[self.stack]()
        return {**ipsec, **self._l2tp(), "ppp/ip-up": IP_UP, **self.files}

    def _secrets(self):
        return f'%any {self.server} : PSK "{self.psk}"\n'

    def _client_port(self):
        return self.l2tp_port or "%any"

    def _strongswan(self):
        return {"ipsec.secrets": self._secrets(), "strongswan.d/rig.conf": self._charon("charon"), "ipsec.conf": lines(
            "config setup",
            "conn vpn",
            "  keyexchange=ikev1",
            "  type=transport",
            "  authby=psk",
            "  left=%defaultroute",
            f"  leftprotoport=17/{self._client_port()}",
            self.left_id and f"  leftid={self.left_id}",
            f"  right={self.server}",
            f"  rightid={self.right_id}",
            "  rightprotoport=17/1701",
            f"  ike={self.ike or IKE}!",
            f"  esp={self.esp or ESP}!",
            f"  ikelifetime={self.ike_life}s",
            f"  lifetime={self.sa_life}s",
            f"  margintime={self.margin}s",
            "  rekeyfuzz=0%",
            "  keyingtries=1",
            not self.reauth and "  reauth=no",
            self.aggressive and "  aggressive=yes",
            *self._dpd(),
            "  auto=add")}

    def _libreswan(self):
        return {"ipsec.secrets": self._secrets(), "ipsec.conf": lines(
            "config setup",
            "  logfile=/job/logs/pluto.log",
            "  logtime=yes",
            "  ikev1-policy=accept",
            "  uniqueids=no",
            "conn vpn",
            "  ikev2=never",
            "  type=transport",
            "  authby=secret",
            "  pfs=no",
            "  left=%defaultroute",
            f"  leftprotoport=17/{self._client_port()}",
            self.left_id and f"  leftid={self.left_id}",
            f"  right={self.server}",
            self.right_id != "%any" and f"  rightid={self.right_id}",
            "  rightprotoport=17/1701",
            self.ike and f"  ike={self.ike}",
            self.esp and f"  esp={self.esp}",
            f"  ikelifetime={self.ike_life}s",
            f"  salifetime={self.sa_life}s",
            f"  rekeymargin={self.margin}s",
            "  rekeyfuzz=0%",
            "  keyingtries=1",
            *self._dpd(),
            "  auto=add")}

    def _dpd(self):
        if not self.dpd:
            return []
        return [f"  dpddelay={self.dpd}s", f"  dpdtimeout={self.dpd * 3}s", "  dpdaction=clear"]

    def _swanctl(self):
        return {"strongswan.d/rig.conf": self._charon("charon-systemd"), "swanctl/conf.d/vpn.conf": lines(
            "connections { vpn {",
            "  version = 1",
            f"  remote_addrs = {self.server}",
            f"  proposals = {self.ike or IKE}",
            f"  reauth_time = {self.ike_life - self.margin}s",
            "  keyingtries = 1",
            self.dpd and f"  dpd_delay = {self.dpd}s\n  dpd_timeout = {self.dpd * 3}s",
            "  local { auth = psk",
            self.left_id and f"    id = {self.left_id}",
            "  }",
            f"  remote {{ auth = psk\n    id = {self.right_id} }}",
            "  children { vpn {",
            "    mode = transport",
            f"    local_ts = dynamic[udp/{self.l2tp_port or ''}]",
            "    remote_ts = dynamic[udp/1701]",
            f"    esp_proposals = {self.esp or ESP}",
            f"    rekey_time = {self.sa_life - self.margin}s",
            f"    life_time = {self.sa_life}s",
            "  } }",
            "} }",
            f'secrets {{ ike-1 {{ secret = "{self.psk}" }} }}')}

    @staticmethod
    def _charon(daemon):
        return lines(
            daemon + " {",
            "  i_dont_care_about_security_and_use_aggressive_mode_psk = yes",
            "  filelog { rig { path = /job/logs/charon.log",
            "    time_format = %H:%M:%S",
            "    time_add_ms = yes",
            "    flush_line = yes",
            "    default = 1",
            "    ike = 2",
            "    cfg = 2 } }",
            "}")

    def _l2tp(self):
        xl2tpd = lines(
            "[global]",
            f"port = {self.l2tp_port or 40001}",
            "debug tunnel = yes",
            "debug state = yes",
            "[lac vpn]",
            f"lns = {self.server}",
            self.l2tp_secret and "challenge = yes",
            "ppp debug = yes",
            "pppoptfile = /etc/ppp/options.vpn",
            "length bit = yes",
            "redial = no",
            "autodial = no")
        ppp = lines(
            "ipcp-accept-local",
            "ipcp-accept-remote",
            *(f"refuse-{method}" for method in ("pap", "chap", "mschap", "mschap-v2", "eap") if method not in self.auth),
            "noccp",
            "noauth",
            f"mtu {self.mtu}",
            f"mru {self.mtu}",
            "nodefaultroute",
            "usepeerdns",
            "debug",
            "logfile /job/logs/pppd.log",
            'name "%s"' % self.user.replace("\\", "\\\\"),
            f'password "{self.password}"',
            *self.ppp_extra)
        secrets = lines(self.l2tp_secret and f"* * {self.l2tp_secret}")
        return {"xl2tpd/xl2tpd.conf": xl2tpd, "xl2tpd/l2tp-secrets": secrets, "ppp/options.vpn": ppp}


def lines(*items):
    """Joins what is not empty or False."""
    return "".join(f"{item}\n" for item in items if item)
