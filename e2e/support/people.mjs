/** The people whom every provider of these tests knows. */
export const PEOPLE = {
  ada: {
    oid: '0b6a8c52-3e0f-4b1d-9f57-2f1f6a4b0a01',
    name: 'Ada Lovelace',
    preferred_username: 'ada@contoso.example',
    email: 'ada@contoso.example',
    groups: ['b3f1a9c4-0f5e-4e0a-8a57-1c7a5d3e0001'],
  },
  bob: {
    oid: '0b6a8c52-3e0f-4b1d-9f57-2f1f6a4b0b02',
    name: 'Bob Babbage',
    preferred_username: 'bob@contoso.example',
    email: 'bob@contoso.example',
    groups: [],
  },
};
