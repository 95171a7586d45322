use super::*;

fn account() -> Account {
    Account {
        name: "Sekisho".to_owned(),
        server: "vpn.example.org".to_owned(),
        psk: "it's \"a\" key, 二十文字".to_owned(),
        user: "jiro@OFFICE".to_owned(),
        password: Some("a'b\"c\\d ‘e’".to_owned()),
        behind_nat: false,
        routes: Vec::new(),
    }
}

fn file(system: System, account: &Account, name: &str) -> String {
    let files = make(system, account).files;
    files.into_iter().find(|file| file.file == name).unwrap_or_else(|| panic!("no {name}")).content
}

#[test]
fn apple_reads_back_what_was_put_in() {
    let text = file(System::Ios, &account(), "Sekisho.mobileconfig");
    let value = plist::Value::from_reader_xml(text.as_bytes()).unwrap();
    let whole = value.as_dictionary().unwrap();
    let payload = whole["PayloadContent"].as_array().unwrap()[0].as_dictionary().unwrap();
    let inside = |key: &str| payload[key].as_dictionary().unwrap();
    assert_eq!(payload["PayloadType"].as_string(), Some("com.apple.vpn.managed"));
    assert_eq!(payload["VPNType"].as_string(), Some("L2TP"));
    assert_eq!(inside("PPP")["AuthName"].as_string(), Some("jiro@OFFICE"));
    assert_eq!(inside("PPP")["AuthPassword"].as_string(), account().password.as_deref());
    assert_eq!(inside("IPSec")["SharedSecret"].as_data(), Some(account().psk.as_bytes()));
    assert_eq!(inside("IPv4")["OverridePrimary"].as_signed_integer(), Some(1));
    // Installed again, it replaces itself; another user's stands beside it.
    assert_eq!(text, file(System::Macos, &account(), "Sekisho.mobileconfig"));
    let other = Account {
        user: "yas".to_owned(),
        password: None,
        routes: vec!["10.0.0.0/8".to_owned()],
        ..account()
    };
    let other = file(System::Ios, &other, "Sekisho.mobileconfig");
    assert!(!other.contains(whole["PayloadUUID"].as_string().unwrap()) && !other.contains("AuthPassword"));
    let id = whole["PayloadUUID"].as_string().unwrap();
    assert_eq!((id.len(), &id[14..15]), (36, "5"));
}

#[test]
fn powershell_gets_literals_and_what_the_network_needs() {
    let text = file(System::Windows, &account(), "Sekisho.ps1");
    assert!(text.starts_with('\u{feff}') && text.contains("\r\n"));
    assert!(text.contains("-L2tpPsk 'it''s \"a\" key, 二十文字'"), "{text}");
    assert!(text.contains("rasdial $name 'jiro@OFFICE' 'a''b\"c\\d ‘‘e’’'"), "{text}");
    assert!(!text.contains("AssumeUDP") && !text.contains("SplitTunneling"));
    let other = Account { behind_nat: true, routes: vec!["10.60.0.0/16".to_owned()], ..account() };
    let text = file(System::Windows, &other, "Sekisho.ps1");
    for wanted in
        ["AssumeUDPEncapsulationContextOnSendRule", "-SplitTunneling", "-DestinationPrefix '10.60.0.0/16'"]
    {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
}

#[test]
fn network_manager_gets_a_keyfile() {
    let other = Account { routes: vec!["10.60.0.0/16".to_owned(), "10.61.0.0/16".to_owned()], ..account() };
    let text = file(System::Linux, &other, "Sekisho.nmconnection");
    for wanted in [
        "\nservice-type=org.freedesktop.NetworkManager.l2tp\n",
        "\ngateway=vpn.example.org\n",
        "\nipsec-psk=0s",
        "\npassword=a'b\"c\\\\d ‘e’\n",
        "\nnever-default=true\nroute1=10.60.0.0/16\nroute2=10.61.0.0/16\n",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let padded = Account { password: Some("  two".to_owned()), ..account() };
    assert!(file(System::Linux, &padded, "Sekisho.nmconnection").contains("password=\\s\\stwo\n"));
}

#[test]
fn strongswan_and_xl2tpd_get_their_files() {
    let account = account();
    assert!(file(System::Linux, &account, "ipsec.conf").contains("\nconn sekisho\n"));
    let secrets = file(System::Linux, &account, "ipsec.secrets");
    let encoded = secrets.split("PSK 0s").nth(1).unwrap().trim();
    use ::base64::Engine as _;
    let decoded = ::base64::engine::general_purpose::STANDARD.decode(encoded).unwrap();
    assert_eq!(decoded, account.psk.as_bytes());
    assert!(file(System::Linux, &account, "xl2tpd.conf").contains("pppoptfile = /etc/ppp/options.sekisho\n"));
    let options = file(System::Linux, &account, "options.sekisho");
    assert!(options.contains("name \"jiro@OFFICE\"\npassword \"a'b\\\"c\\\\d ‘e’\"\n"), "{options}");
}

#[test]
fn chromeos_gets_onc_and_android_its_steps() {
    let onc: serde_json::Value =
        serde_json::from_str(&file(System::Chromeos, &account(), "Sekisho.onc")).unwrap();
    let vpn = &onc["NetworkConfigurations"][0]["VPN"];
    assert_eq!((vpn["Type"].as_str(), vpn["Host"].as_str()), (Some("L2TP-IPsec"), Some("vpn.example.org")));
    assert_eq!(vpn["IPsec"]["PSK"].as_str(), Some(account().psk.as_str()));
    assert_eq!(vpn["L2TP"]["Password"].as_str(), account().password.as_deref());
    let android = make(System::Android, &account());
    assert!(android.files.is_empty() && android.steps.contains("IPSec pre-shared key     it's \"a\" key"));
}
