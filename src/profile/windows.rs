//! A PowerShell script for Windows 10 and 11.

use super::{Account, Artifact, Profile, file_name};
use std::fmt::Write as _;

pub(super) fn profile(account: &Account) -> Profile {
    let name = quoted(&account.name);
    let mut script = format!(
        "# Run it in a PowerShell: powershell -ExecutionPolicy Bypass -File {}\n\
         $ErrorActionPreference = 'Stop'\n\
         $name = {name}\n\
         if (Get-VpnConnection -Name $name -ErrorAction SilentlyContinue) {{ Remove-VpnConnection -Name $name -Force }}\n\
         Add-VpnConnection -Name $name -ServerAddress {} -TunnelType L2tp -L2tpPsk {} `\n  \
           -AuthenticationMethod MSChapv2 -EncryptionLevel Optional -RememberCredential -Force{}\n",
        file_name(account, "ps1"),
        quoted(&account.server),
        quoted(&account.psk),
        if account.routes.is_empty() { "" } else { " -SplitTunneling" },
    );
    for route in &account.routes {
        let _ = writeln!(
            script,
            "Add-VpnConnectionRoute -ConnectionName $name -DestinationPrefix {}",
            quoted(route)
        );
    }
    if account.behind_nat {
        // Windows does not speak to a server behind NAT without it; HKLM takes an administrator.
        script.push_str(
            "\n# The gateway is behind a NAT: Windows must be told that this is fine. Restart the PC afterwards.\n\
             $command = 'reg add HKLM\\SYSTEM\\CurrentControlSet\\Services\\PolicyAgent /v AssumeUDPEncapsulationContextOnSendRule /t REG_DWORD /d 2 /f'\n\
             Start-Process -Verb RunAs -Wait -FilePath cmd.exe -ArgumentList \"/c $command\"\n",
        );
    }
    script.push('\n');
    match &account.password {
        Some(password) => {
            let _ = writeln!(script, "rasdial $name {} {}", quoted(&account.user), quoted(password));
        }
        None => {
            let _ = writeln!(script, "Write-Host 'Connect as' {}", quoted(&account.user));
        }
    }
    let restart = if account.behind_nat {
        "\nIt asks for an administrator's consent once; restart the PC then."
    } else {
        ""
    };
    let file = Artifact {
        file: file_name(account, "ps1"),
        // Without the mark, Windows PowerShell 5 reads a script in the system's old code page.
        content: format!("\u{feff}{}", script.replace('\n', "\r\n")),
        note: "run in a PowerShell".to_owned(),
    };
    let steps = format!("In a PowerShell: powershell -ExecutionPolicy Bypass -File {}{restart}", file.file);
    Profile { files: vec![file], steps }
}

/// A literal of PowerShell: in single quotes nothing is replaced, and a quote stands twice. (It takes typographic quotes
/// for quotes, too.)
fn quoted(text: &str) -> String {
    let mut out = String::from("'");
    for character in text.chars() {
        if matches!(character, '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}') {
            out.push(character);
        }
        out.push(character);
    }
    out.push('\'');
    out
}
