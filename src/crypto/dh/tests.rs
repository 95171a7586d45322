use super::*;
use hex_literal::hex;

fn check(group: DhGroup, i: &[u8], public_i: &[u8], r: &[u8], public_r: &[u8], shared: &[u8]) {
    let initiator = KeyPair::from_bytes(group, i).unwrap();
    let responder = KeyPair::from_bytes(group, r).unwrap();
    assert_eq!(initiator.public(), public_i, "{group}");
    assert_eq!(responder.public(), public_r, "{group}");
    assert_eq!(*initiator.agree(public_r).unwrap(), *shared, "{group}");
    assert_eq!(*responder.agree(public_i).unwrap(), *shared, "{group}");
}

#[test]
fn rfc_5903_section_8_1_ecp_256() {
    check(
        DhGroup::Ecp256,
        &hex!("C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433"),
        &hex!(
            "DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C3772581180"
            "5271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3"
        ),
        &hex!("C6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53"),
        &hex!(
            "D12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF63"
            "56FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB"
        ),
        &hex!("D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE"),
    );
}

#[test]
fn rfc_5903_section_8_2_ecp_384() {
    check(
        DhGroup::Ecp384,
        &hex!(
            "099F3C7034D4A2C699884D73A375A67F7624EF7C6B3C0F160647B67414DCE655E35B538041E649EE3FAEF896783AB194"
        ),
        &hex!(
            "667842D7D180AC2CDE6F74F37551F55755C7645C20EF73E31634FE72B4C55EE6DE3AC808ACB4BDB4C88732AEE95F41AA"
            "9482ED1FC0EEB9CAFC4984625CCFC23F65032149E0E144ADA024181535A0F38EEB9FCFF3C2C947DAE69B4C634573A81C"
        ),
        &hex!(
            "41CB0779B4BDB85D47846725FBEC3C9430FAB46CC8DC5060855CC9BDA0AA2942E0308312916B8ED2960E4BD55A7448FC"
        ),
        &hex!(
            "E558DBEF53EECDE3D3FCCFC1AEA08A89A987475D12FD950D83CFA41732BC509D0D1AC43A0336DEF96FDA41D0774A3571"
            "DCFBEC7AACF3196472169E838430367F66EEBE3C6E70C416DD5F0C68759DD1FFF83FA40142209DFF5EAAD96DB9E6386C"
        ),
        &hex!(
            "11187331C279962D93D604243FD592CB9D0A926F422E47187521287E7156C5C4D603135569B9E9D09CF5D4A270F59746"
        ),
    );
}

#[test]
fn rfc_7748_section_6_1_x25519() {
    check(
        DhGroup::Curve25519,
        &hex!("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"),
        &hex!("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"),
        &hex!("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"),
        &hex!("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"),
        &hex!("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"),
    );
}

#[test]
fn both_sides_agree_in_every_group() {
    let mut entropy = Entropy::from_number(3);
    for &group in DhGroup::ALL {
        let initiator = KeyPair::generate(group, &mut entropy).unwrap();
        let job = DhJob { group, remote_public: initiator.public().to_vec() };
        let result = job.run(&mut entropy).unwrap();
        assert_eq!(result.public.len(), group.public_len(), "{group}");
        assert_eq!(result.shared.len(), group.shared_len(), "{group}");
        assert_eq!(initiator.agree(&result.public).unwrap(), result.shared, "{group}");
        assert_eq!(
            job.run(&mut Entropy::from_number(4)),
            job.run(&mut Entropy::from_number(4)),
            "repeatable"
        );
        assert_ne!(job.run(&mut entropy).unwrap().public, result.public, "fresh");
    }
}

#[test]
fn degenerate_points_are_refused() {
    let mut entropy = Entropy::from_number(5);
    for &group in DhGroup::ALL {
        let pair = KeyPair::generate(group, &mut entropy).unwrap();
        let zeros = vec![0; group.public_len()];
        assert_eq!(pair.agree(&zeros).err(), Some(DhError::OutOfRange), "{group}");
        assert_eq!(pair.agree(&zeros[1..]).err(), Some(DhError::Length), "{group}");
        assert_eq!(pair.agree(&[]).err(), Some(DhError::Length), "{group}");
        assert_eq!(
            DhJob { group, remote_public: vec![0; group.public_len() + 1] }.run(&mut entropy),
            Err(DhError::Length)
        );
    }
    for group in [DhGroup::Ecp256, DhGroup::Ecp384] {
        let pair = KeyPair::generate(group, &mut entropy).unwrap();
        let mut off_curve = pair.public().to_vec();
        off_curve[7] ^= 1;
        assert_eq!(pair.agree(&off_curve).err(), Some(DhError::OutOfRange), "{group}");
    }
}
