/* The frame protocol between a host and a device. One request, one answer.
 *
 *     request  A5 command length(2) payload(length) crc(2)
 *     answer   5A command length(2) payload(length) crc(2)
 *
 * Numbers are little endian. The CRC is CRC-16/CCITT (polynomial 0x1021, initial value 0xFFFF, not
 * reflected; of "123456789" it is 0x29B1) over everything between the first byte and itself.
 *
 * A device that refuses a request answers with FRAME_ERROR added to the command and one byte of
 * payload, FRAME_BAD_...; the bytes of a refused length are not waited for. Between frames it
 * ignores every byte but A5, so max_payload + 5 zeros lead out of any half-received frame.
 * A device does not read while it works: the host waits for the answer.
 *
 * The numbers below are repeated in edgeprune/devices/frames.py, where a test compares them.
 */
#ifndef EDGEPRUNE_FRAMES_H
#define EDGEPRUNE_FRAMES_H

#define FRAME_REQUEST 0xA5u
#define FRAME_ANSWER 0x5Au
#define FRAME_PROTOCOL 1u
#define FRAME_ERROR 0x80u

/* Answers: protocol(1) flags(1) classes(2) signal_bytes(4) rhythm_bytes(2) max_payload(2)
 * network(64, SHA-256 in hexadecimal digits) version(the rest, ASCII). */
#define FRAME_INFO 0x01u
/* Takes a window (signal, then rhythm), answers its logits. */
#define FRAME_CLASSIFY 0x02u
/* Answers the bytes of stack that were ever written (4) and that there are (4). */
#define FRAME_STACK 0x03u
/* Checks the constants' CRC and the guards of the arena: answers an EDGEPRUNE_... result (1), 0 is
 * good. Whether the logits are right a host asks with a window of its own. */
#define FRAME_CHECK 0x04u
/* A library with a hop: takes the next hop of the stream, answers the logits of the window that ends
 * with it, or nothing before the first window is full. Without a payload it begins anew. */
#define FRAME_STREAM 0x05u
/* The front end forgets the patient. */
#define FRAME_START 0x10u
/* Takes int16 samples until a window is ready, answers how many it took (2). */
#define FRAME_SAMPLES 0x11u
/* Takes the sample number of a beat (4), answers 1 or, where it is refused, 0 (1). */
#define FRAME_BEAT 0x12u
/* Classifies the next window that is ready: answers the sample number of its beat (4) and the
 * logits, or nothing where none is. */
#define FRAME_NEXT 0x13u

#define FRAME_FLAG_SYNTHETIC 1u
#define FRAME_FLAG_FRONT_END 2u
#define FRAME_FLAG_STREAM 4u

#define FRAME_BAD_CRC 1u
#define FRAME_BAD_LENGTH 2u
#define FRAME_BAD_COMMAND 3u
#define FRAME_FAILED 4u /* the model refused its inputs */

#endif
