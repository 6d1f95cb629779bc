//! Small ISO 9660 images that say of themselves what VIC's images say: the version, as the last word of the publisher.

use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Bytes of a sector.
const SECTOR: usize = 2048;
/// Offset of the publisher in the primary volume descriptor (ECMA-119 8.4.20).
const PUBLISHER: usize = 318;
/// Length of the publisher.
const PUBLISHER_LENGTH: usize = 128;
/// Sectors of an image: a few hundred kilobytes, large enough for an upload to go in many pieces.
const SECTORS: u32 = 200;
/// Sectors of descriptors, path tables and directory, in this order: system area 0-15, primary descriptor, terminator,
/// path tables (little endian, big endian), root directory, file.
const PATH_TABLE_LE: u32 = 18;
const PATH_TABLE_BE: u32 = 19;
const ROOT: u32 = 20;
const FILE: u32 = 21;

/// An image and what identifies it.
#[derive(Clone, Debug)]
pub struct Image {
    /// File name, `appliance.iso`.
    pub name: String,
    /// The image.
    pub bytes: Vec<u8>,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

impl Image {
    /// An image of that volume name whose publisher ends with `version`, for example `V1.5.8-21000-2C978FE`. The same
    /// arguments give the same bytes.
    #[must_use]
    pub fn new(name: &str, volume: &str, version: &str) -> Self {
        let bytes = image(volume, &format!("VMWARE INC. {version}"));
        let sha256 = Sha256::digest(&bytes)
            .iter()
            .fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            });
        Self {
            name: name.to_owned(),
            bytes,
            sha256,
        }
    }
}

fn image(volume: &str, publisher: &str) -> Vec<u8> {
    let mut sectors = vec![vec![0; SECTOR]; 16];
    sectors.push(primary_descriptor(volume, publisher));
    sectors.push(descriptor_head(255));
    sectors.push(path_table(ROOT.to_le_bytes(), 1_u16.to_le_bytes()));
    sectors.push(path_table(ROOT.to_be_bytes(), 1_u16.to_be_bytes()));
    sectors.push(root_directory());
    let mut bytes = sectors.concat();
    // The file's contents differ between volumes and do not compress away.
    let mut block = Sha256::digest(format!("{volume} {publisher}"));
    let length = usize::try_from(SECTORS).unwrap_or_default() * SECTOR;
    while bytes.len() < length {
        bytes.extend_from_slice(&block);
        block = Sha256::digest(block);
    }
    bytes.truncate(length);
    bytes
}

fn descriptor_head(kind: u8) -> Vec<u8> {
    let mut sector = vec![0; SECTOR];
    put(&mut sector, 0, &[kind]);
    put(&mut sector, 1, b"CD001\x01");
    sector
}

/// ECMA-119 8.4.
fn primary_descriptor(volume: &str, publisher: &str) -> Vec<u8> {
    let mut sector = descriptor_head(1);
    put(&mut sector, 8, &text("LINUX", 32));
    put(&mut sector, 40, &text(volume, 32));
    put(&mut sector, 80, &both32(SECTORS));
    put(&mut sector, 120, &both16(1));
    put(&mut sector, 124, &both16(1));
    put(&mut sector, 128, &both16(2048));
    put(&mut sector, 132, &both32(10));
    put(&mut sector, 140, &PATH_TABLE_LE.to_le_bytes());
    put(&mut sector, 148, &PATH_TABLE_BE.to_be_bytes());
    put(&mut sector, 156, &record(ROOT, 2048, 2, b"\0"));
    put(&mut sector, 190, &text("", PUBLISHER - 190));
    put(&mut sector, PUBLISHER, &text(publisher, PUBLISHER_LENGTH));
    put(
        &mut sector,
        PUBLISHER + PUBLISHER_LENGTH,
        &text("", 813 - PUBLISHER - PUBLISHER_LENGTH),
    );
    for date in [813, 830, 847, 864] {
        put(&mut sector, date, b"0000000000000000\0");
    }
    put(&mut sector, 881, &[1]);
    sector
}

/// ECMA-119 9.4: the root is its own parent.
fn path_table(extent: [u8; 4], parent: [u8; 2]) -> Vec<u8> {
    let mut sector = vec![0; SECTOR];
    put(&mut sector, 0, &[1, 0]);
    put(&mut sector, 2, &extent);
    put(&mut sector, 6, &parent);
    sector
}

fn root_directory() -> Vec<u8> {
    let mut sector = vec![0; SECTOR];
    let records = [
        record(ROOT, 2048, 2, b"\0"),
        record(ROOT, 2048, 2, b"\x01"),
        record(FILE, (SECTORS - FILE) * 2048, 0, b"PAYLOAD.;1"),
    ];
    put(&mut sector, 0, &records.concat());
    sector
}

/// ECMA-119 9.1, dated the first of January 2020.
fn record(extent: u32, length: u32, flags: u8, name: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.extend(both32(extent));
    bytes.extend(both32(length));
    bytes.extend([120, 1, 1, 0, 0, 0, 0, flags, 0, 0]);
    bytes.extend(both16(1));
    bytes.push(u8::try_from(name.len()).unwrap_or_default());
    bytes.extend_from_slice(name);
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    let total = u8::try_from(bytes.len()).unwrap_or_default();
    put(&mut bytes, 0, &[total]);
    bytes
}

fn both16(value: u16) -> Vec<u8> {
    [value.to_le_bytes(), value.to_be_bytes()].concat()
}

fn both32(value: u32) -> Vec<u8> {
    [value.to_le_bytes(), value.to_be_bytes()].concat()
}

/// Text padded with blanks, as the standard wants it.
fn text(value: &str, length: usize) -> Vec<u8> {
    let mut bytes = value.as_bytes().to_vec();
    bytes.resize(length, b' ');
    bytes
}

fn put(buffer: &mut [u8], at: usize, bytes: &[u8]) {
    for (slot, byte) in buffer.iter_mut().skip(at).zip(bytes) {
        *slot = *byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn appliance() -> Image {
        Image::new("appliance.iso", "VIC APPLIANCE", "V1.5.8-21000-2C978FE")
    }

    #[test]
    fn the_publisher_lies_where_vic_reads_it() {
        let image = appliance();
        let publisher = &image.bytes[0x8000 + 318..0x8000 + 318 + 128];
        assert_eq!(
            std::str::from_utf8(publisher).unwrap().trim_end(),
            "VMWARE INC. V1.5.8-21000-2C978FE"
        );
    }

    #[test]
    fn the_descriptor_is_one_of_iso_9660() {
        let image = appliance();
        assert_eq!(&image.bytes[0x8000..0x8007], b"\x01CD001\x01");
        assert_eq!(&image.bytes[0x8800..0x8807], b"\xffCD001\x01");
        assert_eq!(&image.bytes[0x8000 + 40..0x8000 + 53], b"VIC APPLIANCE");
        let root = &image.bytes[0x8000 + 156..0x8000 + 190];
        assert_eq!(root[0], 34, "the root's record is 34 bytes long");
        let at = usize::try_from(u32::from_le_bytes(root[2..6].try_into().unwrap())).unwrap() * 2048;
        assert_eq!(
            image.bytes[at], 34,
            "the first record of the root directory is itself"
        );
        assert_eq!(image.bytes.len(), 200 * 2048);
    }

    #[test]
    fn images_are_the_same_each_time_and_differ_from_each_other() {
        assert_eq!(appliance().sha256, appliance().sha256);
        assert_eq!(appliance().sha256.len(), 64);
        let bootstrap = Image::new("bootstrap.iso", "VIC BOOTSTRAP", "V1.5.8-21000-2C978FE");
        assert_ne!(bootstrap.sha256, appliance().sha256);
        assert_ne!(bootstrap.bytes[0x10000..], appliance().bytes[0x10000..]);
    }
}
