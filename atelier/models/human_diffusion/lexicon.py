"""Which English words tell of which region. What stands in no list is open vocabulary: kept, and warned about."""

from __future__ import annotations

from collections.abc import Mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.replace("_", " ").split(","))


_NOUNS = {
    "background": "background,backdrop,studio,wall",
    "top": "top,shirt,t-shirt,tee,blouse,hoodie,sweater,sweatshirt,pullover,jumper,tank,tank top,camisole,polo,tunic,"
    "turtleneck,crop top,long-sleeved top,bodysuit,knitwear,upper clothing,upper clothes",
    "outer": "jacket,coat,cardigan,blazer,vest,waistcoat,parka,trench,trench coat,overcoat,raincoat,windbreaker,"
    "bomber,anorak,poncho,cape,kimono,outer clothing,outerwear,outer layer",
    "skirt": "skirt,miniskirt,lower clothing",
    "dress": "dress,gown,sundress,frock",
    "pants": "pants,trousers,jeans,shorts,chinos,slacks,joggers,sweatpants,culottes,bermudas,lower clothing",
    "leggings": "leggings,tights,pantyhose",
    "headwear": "hat,cap,beanie,sun hat,beret,bonnet,headband,turban,hijab,helmet,fedora,headwear",
    "eyeglass": "glasses,sunglasses,eyeglasses,eyeglass,spectacles,shades",
    "neckwear": "scarf,shawl,neckwear,neckerchief,bandana,foulard",
    "belt": "belt,sash",
    "footwear": "shoes,shoe,boots,boot,sneakers,sneaker,trainers,sandals,heels,high heels,loafers,flats,pumps,slippers,"
    "footwear,dress shoes,ankle boots",
    "bag": "bag,handbag,purse,backpack,tote,clutch,satchel,tote bag,shoulder bag",
    "hair": "hair,ponytail,bob,bun,afro,quiff,side part,buzz cut,braid,braids,curls,fringe,bangs,dreadlocks,bald head,"
    "hairstyle",
    "face": "face,beard,moustache,mustache,stubble,freckles,lips,lipstick,eyes,eyebrows,smile,makeup,skin,complexion",
    "skin": "skin,complexion,tattoo,tattoos",
    "ring": "ring,rings",
    "wrist_wearing": "watch,bracelet,bracelets,wristband,bangle,wrist,wristwatch",
    "socks": "socks,sock,stockings,knee socks",
    "gloves": "gloves,glove,mittens",
    "necklace": "necklace,pendant,choker",
    "rompers": "rompers,romper,jumpsuit,playsuit,overalls,dungarees",
    "earrings": "earrings,earring",
    "tie": "tie,necktie,bow tie",
}

NOUNS: Mapping[str, tuple[str, ...]] = {
    noun: tuple(region for region, nouns in _NOUNS.items() if noun in _words(nouns))
    for noun in sorted(frozenset[str]().union(*(_words(nouns) for nouns in _NOUNS.values())))
}
"""Noun, of one or several words → its regions; `skin` is the face's too, `lower clothing` is pants or a skirt."""

LONGEST_NOUN = max(len(noun.split()) for noun in NOUNS)

DETAILS = _words(
    "sleeve,sleeves,collar,neckline,neck,crew,hem,hood,cuff,cuffs,pocket,pockets,button,buttons,zipper,zip,logo,print,"
    "word,words,letters,lettering,text,slogan,pattern,patterns,stripes,checks,dots,polka,flowers,fabric,cotton,denim,"
    "leather,silk,wool,linen,lace,fur,knit,chiffon,velvet,satin,tweed,corduroy,trim,straps,strap,embroidery,sequins,"
    "lapels,pleats,ruffles,fringes,laces,soles,length,color,colour,colors,colours,star,sun,heart,circle,mountains,waves,"
    "flower,bolt,clothing,clothes,cloth,it,its,they,them,this,that,accessory"
)
"""What belongs to the garment named before."""

MODIFIERS = _words(
    "white,cream,grey,gray,charcoal,black,navy,blue,light,dark,teal,green,olive,mustard,orange,rust,red,burgundy,pink,"
    "blush,lilac,purple,brown,beige,indigo,washed,yellow,gold,golden,silver,ivory,khaki,tan,turquoise,violet,maroon,"
    "bright,pale,deep,pastel,auburn,blond,blonde,fair,medium,striped,vertically,horizontally,checked,plaid,dotted,"
    "gradient,patterned,plain,solid,pure,floral,graphic,printed,denim,cotton,leather,woollen,woolen,knitted,silken,"
    "short,long,medium-length,three-quarter,sleeveless,short-sleeved,long-sleeved,wide,slim,skinny,loose,tight,baggy,"
    "oversized,cropped,fitted,open,closed,hooded,v-neck,scoop-neck,crew-neck,round,square,high,low,v-shape,wavy,curly,"
    "straight,bald,thick,thin,small,large,big,little,new,old,soft,shiny,matte,simple,elegant,casual,formal,very,"
    "sleek,messy,tied,ripped,torn,frayed,quilted,padded,pleated,ribbed,sheer,vintage,warm,cool,colorful,colourful"
)
"""What describes the thing that it stands with, and is none itself."""

PEOPLE = _words(
    "person,people,woman,man,lady,girl,boy,gentleman,guy,female,male,model,she,he,someone,figure,adult,youth,"
    "young,middle-aged,elderly,tall,slender,slim,broad,athletic,pregnant"
)
POSTURE = _words(
    "standing,stands,sitting,sits,seated,walking,walks,leaning,turned,turning,facing,looking,posing,pose,relaxed,"
    "crossed,straight,feet,foot,apart,knee,knees,loose,legs,leg,arms,arm,hand,hands,hip,hips,pocket,chest,lap,box,side,"
    "head,down,up,raised,one,both,camera,front,back,chair,stool,shoulder,shoulders,waist,body,finger,fingers,on,in,to,"
    "at,of,behind,left,right,forward,away,from,touching,resting,held,out,folded,bent,clasped,laid,flat"
)
"""Words of the person as a whole: every region is told them."""

BREAKS = _words(
    "with,and,over,under,underneath,beneath,wears,wear,wearing,wore,dressed,in,has,have,having,holding,holds,carrying,"
    "carries,below,above,plus,while,also,beside,paired,against,before"
)
"""Words that begin another thing."""

ADDS = _words("with,in,has,have,having")
"""Of these, the ones after which a thing without a region of its own belongs to the one before."""

ARTICLES = _words("a,an,the,his,her,their,some,its,my,your,another,two")
FILLERS = (
    ARTICLES
    | BREAKS
    | _words(
        "is,are,was,there,of,on,to,as,at,by,it,they,this,that,these,those,which,who,also,pair,kind,type,style,for,from,be,"
        "been,or,both"
    )
)
"""Words that say nothing of how a thing looks."""

ABSENT = _words("bald,no,without,none")
"""Words that a phrase has whose region is rightly absent."""


def is_listed(word: str) -> bool:
    """Whether a word stands in any list; what is quoted is a word to be printed, and always understood."""
    return word.startswith(_QUOTES) or any(word.lower() in words for words in _ALL)


def is_quoted(word: str) -> bool:
    """Whether a word is what a garment has printed on it."""
    return word.startswith(_QUOTES)


_QUOTES = ('"', "“")
_ALL = (
    frozenset(word for noun in NOUNS for word in noun.split()),
    *(DETAILS, MODIFIERS, PEOPLE, POSTURE, BREAKS, FILLERS),
)
