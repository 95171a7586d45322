"""Every suite of IKE and of ESP once, offered alone; the gateway's table in src and this list must say the same."""
IKE = ["aes256-sha256-modp2048", "aes128-sha256-modp2048", "aes256-sha1-modp2048", "aes128-sha1-modp2048", "3des-sha1-modp2048",
       "3des-sha256-modp2048", "aes256-sha1-modp1024", "3des-sha1-modp1024", "aes256-sha256-ecp256", "aes256-sha256-ecp384",
       "aes128-sha1-ecp256"]
ESP = ["aes256-sha1", "aes128-sha1", "3des-sha1", "aes256-sha256", "aes128-sha256", "3des-sha256"]
IKE_MORE = ["aes192-sha256-modp2048", "aes256-sha384-modp2048", "aes256-sha512-modp4096", "aes256-sha256-modp1536",
            "aes256-sha256-modp3072", "aes256-sha256-curve25519"]
ESP_MORE = ["aes192-sha1", "aes128gcm16", "aes256gcm16", "aes256-sha384", "aes256-sha512"]
LEGACY_IKE, LEGACY_ESP = ["aes128-md5-modp1024", "3des-md5-modp1024"], ["aes128-md5", "3des-md5"]

CASES = {"suites": {"ike": IKE, "esp": ESP}, "suites-more": {"ike": IKE_MORE, "esp": ESP_MORE},
         "suites-legacy": {"ike": LEGACY_IKE, "esp": LEGACY_ESP, "policy": "legacy"}}
MINUTES = 30


def scenario(rig, ike, esp, policy="compatible"):
    config = rig.config()
    config["ipsec"]["policy"] = policy
    rig.start_gateway(config)
    client = rig.client(ike_timeout=20, ppp_timeout=20)
    rig.boot(client)
    pairs = [(suite, None) for suite in ike] + [(None, suite) for suite in esp]
    failed = []
    for one, two in pairs:
        outcome = client.try_connect(ike=one, esp=two)
        good = outcome.up and client.ping(rig.hub_gateway(client)) == 5
        good = good and bool(client.bulk("put", rig.bulk_host(client), 1_000_000))
        client.sh("bash /rig/disconnect", 60)
        if not good:
            failed.append(one or two)
    rig.check(not failed, f"{len(pairs) - len(failed)} of {len(pairs)} suites work" + (f"; not: {', '.join(failed)}" if failed else ""))
    rig.note(f"{len(pairs)} suites")
    rig.stop_gateway()
