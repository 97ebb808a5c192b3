//! Picture files: small valid PNGs in four colours, made from a number, without a picture library.
//!
//! The pixels are stored, not compressed: that needs no code and makes the size of the file known before it is made.

use serde::Serialize;

/// Where the scan lines are cut: the most bytes that a stored block can hold.
const BLOCK: usize = 65_535;

/// What is needed to paint a picture again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Picture {
    /// Pixels.
    pub(crate) width: u32,
    /// Pixels.
    pub(crate) height: u32,
    /// Decides colours and pattern.
    pub(crate) hash: u64,
}

impl Picture {
    /// The length of the file in bytes.
    pub(crate) fn file_size(self) -> usize {
        let raw = self.raw_size();
        8 + (12 + 13) + (12 + 12) + (12 + 2 + 5 * raw.div_ceil(BLOCK) + raw + 4) + 12
    }

    /// The file.
    pub(crate) fn png(self) -> Vec<u8> {
        let mut file = Vec::with_capacity(self.file_size());
        file.extend_from_slice(b"\x89PNG\r\n\x1a\n");
        let mut header = Vec::with_capacity(13);
        header.extend_from_slice(&self.width.to_be_bytes());
        header.extend_from_slice(&self.height.to_be_bytes());
        // Two bits a pixel, palette, and the only methods that the format has.
        header.extend_from_slice(&[2, 3, 0, 0, 0]);
        chunk(&mut file, *b"IHDR", &header);
        chunk(&mut file, *b"PLTE", &self.palette());
        chunk(&mut file, *b"IDAT", &stored(&self.scan_lines()));
        chunk(&mut file, *b"IEND", &[]);
        file
    }

    fn line_size(self) -> usize {
        1 + usize::try_from(self.width).unwrap_or(usize::MAX).div_ceil(4)
    }

    fn raw_size(self) -> usize {
        self.line_size().saturating_mul(usize::try_from(self.height).unwrap_or(usize::MAX))
    }

    fn palette(self) -> [u8; 12] {
        let mut colours = [0; 12];
        let hash = self.hash.to_le_bytes();
        for (index, colour) in colours.iter_mut().enumerate() {
            *colour = hash[index % 8].rotate_left(u32::try_from(index / 3).unwrap_or(0) * 2);
        }
        colours
    }

    /// Bands whose height and pattern come from the hash.
    fn scan_lines(self) -> Vec<u8> {
        let patterns = self.hash.rotate_left(17).to_le_bytes();
        let band = self.height.div_ceil(8).max(1);
        let mut raw = Vec::with_capacity(self.raw_size());
        for line in 0..self.height {
            let pattern = patterns[usize::try_from(line / band).unwrap_or(0) % 8];
            raw.push(0);
            raw.resize(raw.len() + self.line_size() - 1, pattern);
        }
        raw
    }
}

/// Wraps bytes as a zlib stream of stored blocks.
fn stored(raw: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let blocks = raw.len().div_ceil(BLOCK);
    for (index, block) in raw.chunks(BLOCK).enumerate() {
        let length = u16::try_from(block.len()).expect("chunks are at most 65535 long");
        stream.push(u8::from(index + 1 == blocks));
        stream.extend_from_slice(&length.to_le_bytes());
        stream.extend_from_slice(&(!length).to_le_bytes());
        stream.extend_from_slice(block);
    }
    stream.extend_from_slice(&adler32(raw).to_be_bytes());
    stream
}

fn chunk(file: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    let length = u32::try_from(data.len()).expect("a picture is smaller than 4 GiB");
    file.extend_from_slice(&length.to_be_bytes());
    let checked_from = file.len();
    file.extend_from_slice(&kind);
    file.extend_from_slice(data);
    let check = crc32(&file[checked_from..]);
    file.extend_from_slice(&check.to_be_bytes());
}

fn crc32(bytes: &[u8]) -> u32 {
    let table: Vec<u32> =
        (0..256u32).map(|n| (0..8).fold(n, |c, _| if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 })).collect();
    let step = |crc: u32, byte: &u8| table[usize::from(crc.to_le_bytes()[0] ^ byte)] ^ (crc >> 8);
    !bytes.iter().fold(u32::MAX, step)
}

fn adler32(bytes: &[u8]) -> u32 {
    let (mut low, mut high) = (1u32, 0u32);
    for byte in bytes {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    (high << 16) | low
}

#[cfg(test)]
mod tests {
    use super::{Picture, adler32, crc32};

    #[test]
    fn checksums_match_their_published_examples() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn a_file_has_the_size_it_was_said_to_have_and_repeats() {
        for (width, height) in [(1, 1), (1024, 768), (513, 517)] {
            let picture = Picture { width, height, hash: 0x1234_5678_9abc_def0 };
            let file = picture.png();
            assert_eq!(file.len(), picture.file_size());
            assert_eq!(file, picture.png());
            assert_eq!(file[16..24], [width.to_be_bytes(), height.to_be_bytes()].concat());
        }
    }

    #[test]
    fn another_hash_paints_another_picture() {
        let paint = |hash| Picture { width: 8, height: 8, hash }.png();
        assert_ne!(paint(1), paint(2));
    }
}
