//! Decompression of what a recording may be packed in: gzip and Zstandard, told by their first bytes.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, FrameHeaderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// A Zstandard block holds at most 128 KiB (RFC 8878, 3.1.1.2.4).
const ZSTD_BLOCK: usize = 128 << 10;

/// Returns a reader of what `reader` holds, decompressed if it begins like gzip or Zstandard.
pub(crate) fn decompress(mut reader: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut magic = Vec::with_capacity(4);
    (&mut reader).take(4).read_to_end(&mut magic)?;
    let is_gzip = magic.starts_with(&[0x1f, 0x8b]);
    let is_zstd = is_zstd_magic(&magic);
    let whole = Cursor::new(magic).chain(reader);
    Ok(if is_gzip {
        Box::new(Gzip(MultiGzDecoder::new(BufReader::new(whole))))
    } else if is_zstd {
        Box::new(Zstd::new(BufReader::new(whole)))
    } else {
        Box::new(whole)
    })
}

/// Returns whether `bytes` begin a Zstandard frame or a skippable one (RFC 8878, 3.1.1 and 3.1.2).
fn is_zstd_magic(bytes: &[u8]) -> bool {
    matches!(bytes, [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18])
}

/// The members of a gzip file, one after the other; only the errors differ from the decoder's own.
struct Gzip<R>(MultiGzDecoder<R>);

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            io::ErrorKind::UnexpectedEof => broken("the gzip data is truncated here"),
            _ => broken(&format!("the gzip data is damaged here ({error})")),
        })
    }
}

/// The frames of a Zstandard file, one after the other.
struct Zstd<R> {
    source: BufReader<R>,
    decoder: FrameDecoder,
    state: State,
}

enum State {
    Between,
    InFrame,
    /// The rest of a broken frame's window is handed out before the error.
    Salvage(io::Error),
    Ended,
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match &mut self.state {
                State::Between => {
                    if self.source.fill_buf()?.is_empty() {
                        self.state = State::Ended;
                    } else {
                        self.begin_frame()?;
                    }
                }
                State::InFrame => {
                    let read = self.decoder.read(buffer)?;
                    if read > 0 {
                        return Ok(read);
                    }
                    self.decode_more()?;
                }
                State::Salvage(_) => {
                    let read = self.decoder.read(buffer)?;
                    if read > 0 {
                        return Ok(read);
                    }
                    if let State::Salvage(error) = std::mem::replace(&mut self.state, State::Ended) {
                        return Err(error);
                    }
                }
                State::Ended => return Ok(0),
            }
        }
    }
}

impl<R: Read> Zstd<R> {
    fn new(source: BufReader<R>) -> Self {
        let mut decoder = FrameDecoder::new();
        // ruzstd bounds a frame's window, which it keeps in memory, to 100 MiB, but not the first one's
        // (0.8.3). So the first is this empty one, of which only the header matters.
        let empty: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd, 0x20, 0];
        let state = match decoder.reset(empty) {
            Ok(()) => State::Between,
            Err(error) => State::Salvage(zstd_error(&error)),
        };
        Zstd { source, decoder, state }
    }

    fn begin_frame(&mut self) -> io::Result<()> {
        match self.decoder.reset(&mut self.source) {
            Ok(()) => self.state = State::InFrame,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                let skipped = io::copy(&mut (&mut self.source).take(length.into()), &mut io::sink())?;
                if skipped < length.into() {
                    self.state = State::Ended;
                    return Err(broken("the zstd data is truncated here"));
                }
            }
            Err(error) => {
                self.state = State::Ended;
                return Err(zstd_error(&error));
            }
        }
        Ok(())
    }

    /// Decodes a block or, at the frame's end, checks the frame's checksum.
    fn decode_more(&mut self) -> io::Result<()> {
        if self.decoder.is_finished() {
            self.state = State::Between;
            let stored = self.decoder.get_checksum_from_data();
            if stored.is_some() && stored != self.decoder.get_calculated_checksum() {
                self.state = State::Ended;
                return Err(broken("the zstd data before this is damaged: its checksum does not match"));
            }
            return Ok(());
        }
        let strategy = BlockDecodingStrategy::UptoBytes(ZSTD_BLOCK);
        if let Err(error) = self.decoder.decode_blocks(&mut self.source, strategy) {
            // The decoder keeps back a window of up to megabytes until it has seen the last block. It is
            // given one, empty and with a checksum that nobody asks for, so that what was decoded is not
            // lost with what was not.
            let last_block: &[u8] = &[1, 0, 0, 0, 0, 0, 0];
            self.state = match self.decoder.decode_blocks(last_block, BlockDecodingStrategy::All) {
                Ok(_) => State::Salvage(zstd_error(&error)),
                Err(_) => State::Ended,
            };
            if matches!(self.state, State::Ended) {
                return Err(zstd_error(&error));
            }
        }
        Ok(())
    }
}

/// Says what is wrong with Zstandard data, which the decoder's own messages say only to its authors.
fn zstd_error(error: &FrameDecoderError) -> io::Error {
    if let FrameDecoderError::WindowSizeTooBig { .. }
    | FrameDecoderError::FrameHeaderError(FrameHeaderError::WindowTooBig { .. }) = error
    {
        return broken("the zstd data needs a window over 100 MiB; compress it without --long or --ultra");
    }
    if let FrameDecoderError::DictNotProvided { .. } = error {
        return broken("the zstd data needs a dictionary; compress it without one");
    }
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if cause.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::UnexpectedEof) {
            return broken("the zstd data is truncated here");
        }
        source = cause.source();
    }
    broken(&format!("the zstd data is damaged here ({error})"))
}

fn broken(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
