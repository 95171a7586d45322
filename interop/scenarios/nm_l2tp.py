"""The configuration that NetworkManager-l2tp writes for strongSwan and for libreswan, as a desktop user gets it."""
CASES = {"nm-l2tp": {"stack": "strongswan", "clients": ["NetworkManager-l2tp's configuration"]},
         "nm-l2tp-libreswan": {"stack": "libreswan", "clients": ["NetworkManager-l2tp's configuration"]}}

IPSEC = """conn vpn
  auto=add
  type=transport
  {secret}
  left=%defaultroute
  leftprotoport=udp/l2tp
  rightprotoport=udp/l2tp
  right={server}
  rightid=%any
  keyingtries=%forever
  {ike}
  esp=aes256-sha1,aes128-sha1,3des-sha1{bang}
"""
STRONGSWAN_IKE = ("keyexchange=ikev1\n  ike=aes256-sha2_256-modp2048,aes256-sha2_256-modp1536,aes256-sha2_256-modp1024,"
                  "aes256-sha1-modp2048,aes256-sha1-modp1536,aes256-sha1-modp1024,aes256-sha1-ecp384,aes128-sha1-modp1024,"
                  "aes128-sha1-ecp256,3des-sha1-modp2048,3des-sha1-modp1024!")
LIBRESWAN_IKE = ("ikev2=no\n  ike=aes256-sha2_256-modp2048,aes256-sha2_256-modp1536,aes256-sha1-modp2048,aes256-sha1-modp1536,"
                 "aes256-sha1-ecp_384,aes128-sha1-ecp_256,3des-sha1-modp2048")
PPP = """debug
ipparam vpn
nodetach
usepeerdns
noipdefault
nodefaultroute
noauth
noccp
lcp-echo-failure 0
lcp-echo-interval 0
mtu 1400
mru 1400
name "alice"
password "alice-pw"
logfile /job/logs/pppd.log
"""
XL2TPD = """[global]
access control = yes
port = 1701
[lac vpn]
lns = {server}
ppp debug = yes
pppoptfile = /etc/ppp/options.vpn
autodial = no
tunnel rws = 8
tx bps = 100000000
rx bps = 100000000
"""


def scenario(rig, stack, clients):
    from lib.settings import GATEWAY
    rig.start_gateway()
    strongswan = stack == "strongswan"
    ipsec = IPSEC.format(server=GATEWAY, secret="authby=psk" if strongswan else "authby=secret\n  pfs=no",
                         ike=STRONGSWAN_IKE if strongswan else LIBRESWAN_IKE, bang="!" if strongswan else "")
    head = "" if strongswan else "config setup\n  logfile=/job/logs/pluto.log\n  ikev1-policy=accept\n"
    client = rig.client(stack=stack, ike_timeout=16, ppp_timeout=16, files={
        "ipsec.conf": head + ipsec, "xl2tpd/xl2tpd.conf": XL2TPD.format(server=GATEWAY), "ppp/options.vpn": PPP})
    outcome = rig.connect(client)[0]
    rig.note(f"ppp0 after {outcome.seconds:.1f} s")
    rig.traffic(client)
    client.disconnect()
    rig.stop_gateway()
