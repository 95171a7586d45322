//! ESP packets of real implementations, with their keys, as a second opinion on ours.
//!
//! Recorded in November 2026 between SoftEther VPN Server (Debian) and three clients behind a NAT, on port 4500:
//! strongSwan 5.9 with xl2tpd; Android's racoon with mtpd and Apple's racoon with an L2TP client, both built for Linux.
//! All negotiated AES-256-CBC with HMAC-SHA1-96. `wire` is the UDP payload; `payload` is what Wireshark (tshark 4.0)
//! decrypts from it, padding and trailer cut off. The keys protected nothing but these tests.

use hex_literal::hex;

/// One direction's SA.
pub(crate) struct Sa {
    pub(crate) spi: u32,
    pub(crate) encryption: &'static [u8],
    pub(crate) authentication: &'static [u8],
}

/// One ESP packet, SPI to ICV, and its transport-mode payload.
pub(crate) struct Packet {
    pub(crate) wire: &'static [u8],
    pub(crate) payload: &'static [u8],
}

/// A few packets of one connection, in order.
pub(crate) struct Capture {
    pub(crate) sas: &'static [Sa],
    pub(crate) packets: &'static [Packet],
}

/// strongSwan and xl2tpd: SCCRQ to ICCN, the first LCP packets.
pub(crate) const STRONGSWAN: Capture = Capture {
    sas: &[
        Sa {
            spi: 0x8f4e_b0e1,
            encryption: &hex!("4961300ce3eba4f57f3932fa1f5c2acc3217599c708e033202a590cdb170971b"),
            authentication: &hex!("f6c39172df686c29f1814f716353bc9e3c50b3c2"),
        },
        Sa {
            spi: 0xc6b0_41ff,
            encryption: &hex!("c2a3f92c6eb6873bce4759d308f639add1afdd1b2a9b99551f39cb2e6a8920ca"),
            authentication: &hex!("2e47ae67a85bd2168e3d49d634bb57f7c7645405"),
        },
    ],
    packets: &[
        // Frame 10.
        Packet {
            wire: &hex!(
                "8f4eb0e10000000154a21f26ac2a3317957a05e03f703c92fe639afb657225aaded1291db3e66b8ab6db"
                "eda6b763d9deb9a6a097c91ffd8bfee729773b40380d9e57ebd0346d121e5570fafb2131fbe2a7b98fbc"
                "2d13f8430140e3bf6134c2c9b28a80e59684e61296aabf22b946f2b8d210c8ce7b74487e2dea791a7a12"
                "599cc145035f2aac9f4bb0cbe10c7ce72d2ebebd94a1"
            ),
            payload: &hex!(
                "06a506a5006c0000c8020064000000000000000080080000000000018008000000020100800a00000003"
                "00000003800a0000000400000000000800000006069080090000000763617000130000000878656c6572"
                "616e63652e636f6d80080000000996a180080000000a0004"
            ),
        },
        // Frame 11.
        Packet {
            wire: &hex!(
                "c6b041ff000000019041b90c945184594bb1153b59adb96896fae60b580fe21ff9833f64b0985f2f7a89"
                "fe394370a1f0ba0f76189ab7cc88d79456f7bd21244a38022e04d9a65a40efcb62db773998c2f180c4d9"
                "afaafd3d89fbe854f3fa5f04651615a82e584969868f68bf29347c154b785d24f846ca008ef32798b1b5"
                "9f0d0243e45a"
            ),
            payload: &hex!(
                "06a506a5005a0000c802005296a100000000000180080000000000028008000000020100000a00000003"
                "00000003000a0000000400000003800800000007766d000a000000084c32545080080000000900010008"
                "0000000a0010"
            ),
        },
        // Frame 12.
        Packet {
            wire: &hex!(
                "8f4eb0e1000000029fb54b35da2fd746bf662e7fca8c9744fdf2c7e5bb29cad5f7d38f0ff06588bc5646"
                "45d53812aa88ce92657be2e60cfe9089c291ae89acd57615810f"
            ),
            payload: &hex!("06a506a5001c0000c802001400010000000100018008000000000003"),
        },
        // Frame 13.
        Packet {
            wire: &hex!(
                "c6b041ff00000002868f68bf29347c154b785d24f846ca005e456f53ae9e6ab3d96265950259d665170b"
                "893912484e490c18d6296c14d8d4c8275d381fd7980e94ff1315"
            ),
            payload: &hex!("06a506a500140000c802000c96a1000000010002"),
        },
        // Frame 14.
        Packet {
            wire: &hex!(
                "8f4eb0e100000003bfe279457f6bd284fa83756c308a64bb869720e129dfa7b5be4ddaa7625b6808e3cb"
                "3e28f2f09a310589242097db06b9daea1f0c410a23d1c706b68d4f1b5eda49008b59458a66636921e827"
                "78cde2977213d25d7c4b7890f8b1bc0f"
            ),
            payload: &hex!(
                "06a506a500380000c80200300001000000020001800800000000000a80080000000e1405800a0000000f"
                "00000001800a0000001200000000"
            ),
        },
        // Frame 15.
        Packet {
            wire: &hex!(
                "c6b041ff00000003170b893912484e490c18d6296c14d8d43ebc18b4c06369c4fc63ec6163d99920e297"
                "307bd1dba8361077c7ab6cf32988767b96684c433a09a1a852f765d75e1c14919b8599edf38500d8f9c5"
            ),
            payload: &hex!("06a506a500240000c802001c96a1140500010003800800000000000b80080000000e0001"),
        },
        // Frame 16.
        Packet {
            wire: &hex!(
                "8f4eb0e1000000042f75fb5588ea0a10e0aeb474fd8f0646a2fa8a87fb05830a621e5669d11043d9d71a"
                "06c4dfab56371bffe39d6012321096ca53c3c57e552d0f13ca2db175d3f0abd7f4fa936cf440dd2f2a41"
                "edf9fce50d5a766ad3608e9d973c359f"
            ),
            payload: &hex!(
                "06a506a5003a0000c80200320001000100030002800800000000000c800a0000001800000000800a0000"
                "001300000001000a0000002600000000"
            ),
        },
        // Frame 17.
        Packet {
            wire: &hex!(
                "c6b041ff00000004767b96684c433a09a1a852f765d75e1c5df83625a9f9b407eed35545a1e69e996df8"
                "3a4c7816b96cb5dfe329fa9e92c5b184ab2fafaf2e379e014143"
            ),
            payload: &hex!("06a506a500140000c802000c96a1000000020004"),
        },
        // Frame 18.
        Packet {
            wire: &hex!(
                "8f4eb0e1000000052b9740f8966c803130c8ba8928e9d2b9984a034ff83d1fcd2b487c96a1c6ed7dacab"
                "b67e4df2951e07f5456cfdf1d42f7d6ce9d74572bf3ab97d4be9677b504efdbfcafc6f7f84fbf0f3aae6"
            ),
            payload: &hex!("06a506a500260000000200010001ff03c0210101001401040578020600000000050672cbce22"),
        },
        // Frame 19.
        Packet {
            wire: &hex!(
                "c6b041ff000000056df83a4c7816b96cb5dfe329fa9e92c567e514250fb4cf2c9534c92ce73d742ce84c"
                "4f69f843af064efeebc9c2859c68446b14ebacfb300d2117ac94ffe103e2d10e197dfc8e43030d213bc6"
            ),
            payload: &hex!("06a506a5002400004002001c96a11405ff03c02104010010020600000000050672cbce22"),
        },
    ],
};

/// Android: SCCRQ, SCCRP, SCCCN, ZLB, ICRQ, ICRP.
pub(crate) const ANDROID: Capture = Capture {
    sas: &[
        Sa {
            spi: 0x69a7_0ee5,
            encryption: &hex!("0e150be8a14bf839be5d5c2a0b108cdfebe514703ab99e38db4f11645c8c9122"),
            authentication: &hex!("f041c3c2685b1a00b5f3f3b22234730c4911c104"),
        },
        Sa {
            spi: 0x0d3b_5512,
            encryption: &hex!("d8ed332d189e48f4ead740e132952a5057a24a03d92167b30d960a5b45539cd0"),
            authentication: &hex!("7252774b17edbce9f140deac13e6633f0019d621"),
        },
    ],
    packets: &[
        // Frame 19.
        Packet {
            wire: &hex!(
                "69a70ee50000000147334fb7b584204340cb104d420f1e875290c95b3f1b2562215e274c229745e58ba9"
                "78e26cee37726720898c45fb90e591f1502263702c353997ad5e05379c871c430a999c56af46e77d245a"
                "908e7f8cdd71b66ea10413ef59ec1cdc0b23ecb27dc88fdc3c2b6db1af8cefa5"
            ),
            payload: &hex!(
                "ceea06a5004d7b55c8020045000000000000000080080000000000018008000000020100800f00000007"
                "616e6f6e796d6f7573800a00000003000000038008000000093bbc80080000000a0001"
            ),
        },
        // Frame 20.
        Packet {
            wire: &hex!(
                "0d3b551200000001a54bda42eb1c506336c0f2b09c7e0e20b421f5795b4e7436f30d9dd83a9c3f6e4d5d"
                "1f6140a63481846815a640de86156efc084056b7453ade72929434caacb396482613297023e0c0f5c517"
                "de12382ffffb611c044b462d13969a5abfd744627dc369abb0acda840ec6df60db9d788da0e4ac7c7ff1"
                "3a2578633d42"
            ),
            payload: &hex!(
                "06a5ceea005a0000c80200523bbc00000000000180080000000000028008000000020100000a00000003"
                "00000003000a0000000400000003800800000007766d000a000000084c32545080080000000900010008"
                "0000000a0010"
            ),
        },
        // Frame 21.
        Packet {
            wire: &hex!(
                "69a70ee500000002b780eeaf122ba448b66d18316f483638b030a53e5a3e21abc37bc45c5bf7bd346596"
                "0affe4e7f52fdc7fc7a7f160d1d0366888c344f486cc94c7287f"
            ),
            payload: &hex!("ceea06a5001c9b80c802001400010000000100018008000000000003"),
        },
        // Frame 22.
        Packet {
            wire: &hex!(
                "0d3b5512000000027dc369abb0acda840ec6df60db9d788d149d67a5d2524c665291bc368685165563cf"
                "5fefaf63b909c85ace23c9eacbf187ac6cb717d5d7a0be3d3c16"
            ),
            payload: &hex!("06a5ceea00140000c802000c3bbc000000010002"),
        },
        // Frame 23.
        Packet {
            wire: &hex!(
                "69a70ee500000003d2e8fd932f04b9dadd83f75b9497d52d31e10d7baf38b5e788b0f8ca5e949f4c804c"
                "85ed0868e7e69b1cf7dd8826d218c6124a1c999378f2b2af0d695f2d0ea88b56d06dc6320b41f46c9bf5"
            ),
            payload: &hex!(
                "ceea06a5002eeb6ec80200260001000000020001800800000000000a80080000000ebe8e800a0000000f"
                "9fbd5157"
            ),
        },
        // Frame 24.
        Packet {
            wire: &hex!(
                "0d3b55120000000363cf5fefaf63b909c85ace23c9eacbf1b696a5bb2cef0ef08dd34bcaa3fd838d3816"
                "51b1b1688e49c692e1ff70f228f559dcc9ad69546e1aca3ba2d7e1497e153ba63bae947904f9f3646211"
            ),
            payload: &hex!("06a5ceea00240000c802001c3bbcbe8e00010003800800000000000b80080000000e0001"),
        },
    ],
};

/// Apple: SCCRQ, SCCRP and what follows.
pub(crate) const APPLE: Capture = Capture {
    sas: &[
        Sa {
            spi: 0x0575_947e,
            encryption: &hex!("a3bed64f603d784735605a61e81a67b2c7adc2569484d31f64325b6b99d108e4"),
            authentication: &hex!("ff712b2719fef5dde0643148afeb343bc6301d81"),
        },
        Sa {
            spi: 0x070f_124d,
            encryption: &hex!("052309e2fe51a09f9eb3d8bcaf58dec3d6d4b95b652428b8c8824c6f49dbda0e"),
            authentication: &hex!("7a52b83359a31f3b715f0ca818ff2737f98a3ef2"),
        },
    ],
    packets: &[
        // Frame 25.
        Packet {
            wire: &hex!(
                "0575947e00000001d20862576093201f10a0e18c8c85cb8c93c3e38492a738ca83ca348a0371356177fb"
                "3884c8d1e13a80f1345fa15c17cb906ae5f2729e4c909b577b5c28fae14edeac33d19b406bb806b7cfa8"
                "9d42e1824a45a6b950fbf046586e585e4892bed0427672890b2423742e4ab45cc7d6302367159c1006be"
                "5f9af2dd044b"
            ),
            payload: &hex!(
                "d65706a500519f7cc8020049000000000000000080080000000000018008000000020100800a00000003"
                "000000038013000000074a6f686e732d6950686f6e650080080000000995e480080000000a0004"
            ),
        },
        // Frame 26.
        Packet {
            wire: &hex!(
                "070f124d00000001adc2c199304666003f86609b62603d9a7d9acd2bfd48f662fb7cd63c269f1e0000e8"
                "c3e51df296c4361e2d0eec3a5240914e0b9bba4188471afeb394638ac7a69aaf3f518ebce666600b8234"
                "35eef1b318f1a363ca420f248c12bc0a0cfcdfd0b4a445c68f410aa476e88b03b22cad22d65aa0e31013"
                "6cf207c606a9"
            ),
            payload: &hex!(
                "06a5d657005a0000c802005295e400000000000180080000000000028008000000020100000a00000003"
                "00000003000a0000000400000003800800000007766d000a000000084c32545080080000000900010008"
                "0000000a0010"
            ),
        },
        // Frame 27.
        Packet {
            wire: &hex!(
                "0575947e0000000258e0114016b30bc77f498e79774734976d0f9f66e6a6350d999b66f4ce1d5588df1d"
                "8e7eedca743599940c4d2bcb374959890e3b9daa047bd50301f8"
            ),
            payload: &hex!("d65706a5001c9412c802001400010000000100018008000000000003"),
        },
        // Frame 28.
        Packet {
            wire: &hex!(
                "070f124d00000002b4a445c68f410aa476e88b03b22cad228f817e6394e047e6f7a5db31a53e33dfb24e"
                "3937f548d5a0e70613b72bb4f0de4e60a93999786b2e7c2e746e"
            ),
            payload: &hex!("06a5d65700140000c802000c95e4000000010002"),
        },
        // Frame 29.
        Packet {
            wire: &hex!(
                "0575947e000000033e4170733ad0baa65993ffb75e02d9e6c5e5d5df43819158e516a9bc6f476ea807c0"
                "9558833e0ab903b248f210c6fded720eeac6a0e427fcaf07132039b153819c691e2b687d32e9982e2e0b"
            ),
            payload: &hex!(
                "d65706a5002e900ac80200260001000000020001800800000000000a80080000000e0399800a0000000f"
                "00000001"
            ),
        },
        // Frame 30.
        Packet {
            wire: &hex!(
                "070f124d00000003b24e3937f548d5a0e70613b72bb4f0debc46fbdbda161ba2091d8d30c4f9ac79bcdd"
                "ec74b0cff5d386b0a6b33ab6acca0641cd3ea58ebb1b146f0378b2bce95c0303c20e5dd1562423978fea"
            ),
            payload: &hex!("06a5d65700240000c802001c95e4039900010003800800000000000b80080000000e0001"),
        },
    ],
};
